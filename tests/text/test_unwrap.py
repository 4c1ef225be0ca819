import random
import time

import pytest

from synth.text.unwrap import unwrap


@pytest.mark.parametrize(
    ("wrapped", "text", "wrapper"),
    [
        ("FINDINGS: 3 < 4 cm, > 5 mm & clear.", "FINDINGS: 3 < 4 cm, > 5 mm & clear.", None),
        ("Seen on <DATE> by <NAME>.", "Seen on <DATE> by <NAME>.", None),
        ("", "", None),
        ("<p>FINDINGS: Clear.</p><P>IMPRESSION: <b>Normal</b>.</P>",
         "FINDINGS: Clear.\n\nIMPRESSION: Normal.", "html"),
        ("Nodules concerning for<BR>metastases", "Nodules concerning for\nmetastases", "html"),
        ("<html><head><style>p {x: 1}</style></head><script>a<b</script><!-- c -->Clear</html>",
         "Clear", "html"),
        ("Effusion &lt; 1&nbsp;cm", "Effusion < 1\xa0cm", "html"),
        (r"{\rtf1\ansi{\fonttbl{\f0 Arial;}}{\*\generator X;}\f0\b FINDINGS:\b0  Clear.\par "
         r"IMPRESI\'d3N: T\u243?rax\line normal \{a\}.}",
         "FINDINGS: Clear.\nIMPRESIÓN: Tórax\nnormal {a}.", "rtf"),
        ("MSH|^~\\&|A|B\rPID|1||123||DOE^JANE\rOBX|1|TX|71020&GDT^X||Clear.\\.br\\Dry \\T\\ well.|"
         "\rOBX|2|TX|71020&GDT||No effusion.\rOBX|3|TX|71020&IMP||Normal.\rOBX|4|NM|x||42\r",
         "FINDINGS:\nClear.\nDry & well.\nNo effusion.\nIMPRESSION:\nNormal.", "hl7"),
        ("MSH|^~\\&|A\nOBX|1|FT|x||FINDINGS: Clear.~IMPRESSION: Normal.",
         "FINDINGS: Clear.\nIMPRESSION: Normal.", "hl7"),
        ("MSH|^~\\&|A\nPID|1||123", "", "hl7"),
        (r"FINDINGS: Clear.\nIMPRESSION: Normal.", "FINDINGS: Clear.\nIMPRESSION: Normal.",
         "escapes"),
        (r"FINDINGS: Clear.\.br\IMPRESSION: Normal.", "FINDINGS: Clear.\nIMPRESSION: Normal.",
         "escapes"),
    ],
)  # fmt: skip
def test_wrappers(wrapped, text, wrapper):
    assert unwrap(wrapped) == (text, wrapper)


def test_identifying_segments_of_a_message_are_left_behind():
    message = "MSH|^~\\&|\rPID|1||123||DOE^JANE\rOBR|1|||CXR|||20200101\rOBX|1|TX|x||Clear."
    assert unwrap(message).text == "Clear."


def test_random_markup_never_raises():
    draw = random.Random(2)
    pieces = ["<p>", "</p", "<", ">", "&amp;", "&#0;", "&#x110000;", "{\\rtf1", "{", "}", "\\'",
              "\\'e9", "\\u-10179?", "\\uc0", "\\*", "\\", "MSH|", "\rOBX|1|TX|a||", "|", "<!--",
              "<script", "text", "\n", "\\u99999999999 ", "~", "\\.br\\"]  # fmt: skip
    for start in ("", "{\\rtf1 ", "MSH|", "<p>"):
        for _ in range(300):
            unwrap(start + "".join(draw.choice(pieces) for _ in range(draw.randrange(25))))


@pytest.mark.parametrize("start", ["", "{\\rtf1 ", "MSH|"])
@pytest.mark.parametrize(
    "piece", ["<", "<p ", "<!--", "<script", "{", "\\", "\\'", "OBX|", "&amp;"]
)
def test_hostile_markup_is_read_in_linear_time(start, piece):
    begun = time.process_time()
    unwrap(start + piece * (200_000 // len(piece)))
    assert time.process_time() - begun < 2
