from metrics.report_arms import arms_views

SPREAD = {"value": 0.4, "ci": [0.3, 0.5], "delta": -0.02, "delta_ci": [-0.05, 0.01], "note": ""}


def test_each_kind_shows_its_arms_and_chance():
    ways = {"report_to_image": {"r1": SPREAD}, "n_train": 50}
    scores = {
        "probe": {
            "arms": {
                "real": {"macro_auroc": 0.8, "ci": [0.7, 0.9], "findings": {"x": {"auroc": 0.1}}},
                "synthetic": {"macro_auroc": 0.75, "ci": None, "delta": -0.05, "delta_ci": None},
            },
            "n_test": 1200,
            "n_test_patients": 300,
        },
        "retrieval": {"arms": {"real": ways}, "chance": {"report_to_image": {"r1": 0.01}}},
        "segmentation": None,
    }
    probe, retrieval = arms_views(scores)
    assert [(row.name, row.value, row.delta) for row in probe.rows] == [
        ("real", "0.800", "–"),
        ("synthetic", "0.750", "−0.050"),
    ]
    assert probe.about.endswith("Tested on 1,200 images of 300 patients.")
    assert retrieval.chance == (("report to image r1", "0.010"),)
    (row,) = retrieval.rows
    assert (row.name, row.value, row.ci) == ("real report to image r1", "0.400", "0.300 to 0.500")
    assert (row.delta, row.delta_ci) == ("−0.020", "−0.050 to +0.010")


def test_scores_without_them_show_nothing():
    assert arms_views({}) == ()
    assert arms_views({"probe": {"arms": {}}}) == ()
