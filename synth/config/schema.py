"""What a configuration file may say: one strict, frozen model a section. Imports no torch.

Units: ``steps``, ``warmup_steps`` and everything ``_every`` count optimiser updates; in ``sample``,
``steps`` are solver steps. Rates and EMA are computed from images seen, so that a resumed run
needs one integer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Condition = Literal["view", "side", "sex", "age_band"]
MAX_EMA_WIDTH = 0.28  # of a power-function profile: a uniform average has 0.289


class Section(BaseModel):
    """Base of every section: unknown keys are errors, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RunSection(Section):
    """Where results go and the integer from which they all follow."""

    out: Path = Path("run")
    seed: int = Field(0, ge=0)


class ModelSection(Section):
    """The base model and which of its parameters train."""

    weights: str = "builtin:tiny"  # builtin:NAME, a diffusers pipeline folder, or a hub id
    family: str = "auto"  # auto: by the pipeline's class
    adapter: Literal["full", "lora"] = "full"
    rank: PositiveInt = 8  # LoRA rank
    alpha: PositiveInt = 8  # LoRA scale numerator
    targets: tuple[str, ...] = ()  # layers LoRA adapts; empty: the attention projections
    dora: bool = False  # LoRA with learned column lengths
    conditions: tuple[Condition, ...] = ()  # beside the text, such as [view, sex]
    train_text_encoder: bool = False  # as in RoentGen; text embeddings are then not cached
    prediction: Literal["epsilon", "v_prediction", "sample"] | None = None  # None: the base's own
    zero_terminal_snr: bool = False  # the last time pure noise; needs v_prediction or sample
    attention: Literal["auto", "sdpa", "math", "sliced", "xformers"] = "auto"
    gradient_checkpointing: bool = False


class DataSection(Section):
    """The prepared dataset to train on."""

    dataset: Path = Path("dataset")
    size: PositiveInt | None = None  # pixels; None: the base model's native size
    balance: float = Field(0.0, ge=0.0, le=1.0)  # 0 natural frequencies, 1 every finding equal
    weights: dict[str, PositiveFloat] = Field(default_factory=dict)  # finding: times as often


class OptimSection(Section):
    """AdamW and its learning rate, a function of images seen."""

    kind: Literal["adamw", "adamw8bit"] = "adamw"  # 8 bit: CUDA and the extra `adam8bit`
    learning_rate: float = Field(1e-4, gt=0)
    schedule: Literal["constant", "cosine"] = "cosine"
    warmup_steps: int = Field(20, ge=0)
    weight_decay: float = Field(0.01, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = Field(1.0, gt=0)  # global gradient norm


class EmaSection(Section):
    """Exponential moving average of the trainable parameters."""

    half_life: float = Field(0.1, gt=0)  # as a fraction of images seen so far, capped by decay
    decay: float = Field(0.999, gt=0, lt=1)  # per step, upper bound
    profiles: tuple[float, ...] = ()  # relative widths, such as [0.05, 0.1]: see `synth ema`
    snapshot_every: PositiveInt | None = None  # steps; None: checkpoint_every

    @model_validator(mode="after")
    def _widths(self) -> EmaSection:
        if any(not 0.0 < width < MAX_EMA_WIDTH for width in self.profiles):
            raise ValueError(f"profiles are relative widths between 0 and {MAX_EMA_WIDTH}")
        if len(set(self.profiles)) == 1:
            raise ValueError("profiles needs two widths, such as [0.05, 0.1], or none")
        return self


class TimesSection(Section):
    """How often each noise level is trained on; see ``synth.diffusion.times``."""

    density: Literal["uniform", "logit_normal"] = "uniform"
    mean: float = 0.0  # of the logit
    std: float = Field(1.0, gt=0)
    shift: float = Field(1.0, gt=0)  # above 1: towards noise


class TrainSection(Section):
    """The fine-tune."""

    steps: PositiveInt = 1000
    batch: PositiveInt = 32  # images an optimiser step, over all processes
    micro_batch: PositiveInt | None = None  # images a forward pass; None: batch
    caption_dropout: float = Field(0.1, ge=0.0, lt=1.0)
    condition_dropout: float = Field(0.1, ge=0.0, lt=1.0)  # of each of model.conditions
    caption_variants: int = Field(0, ge=0, le=16)  # reworded copies of each report, 0: none
    min_snr_gamma: float | None = Field(None, gt=0)
    times: TimesSection = TimesSection()
    optim: OptimSection = OptimSection()
    ema: EmaSection = EmaSection()
    precision: Precision = "auto"
    device: Device = "auto"
    sharding: Literal["none", "fsdp2"] = "none"  # fsdp2: weights split over the processes
    log_every: PositiveInt = 10  # steps
    validate_every: PositiveInt = 100  # steps
    preview_every: PositiveInt | None = 500  # steps; null: no previews
    checkpoint_every: PositiveInt = 500  # steps
    keep_checkpoints: PositiveInt = 2
    cache: Path | None = None  # None: <run.out>/cache; runs on the same images may share one
    cache_dtype: Literal["fp32", "fp16"] = "fp32"  # fp16: half the disk, not bit for bit the same
    cached: bool = True  # False: images and texts are encoded inside every step
    preview_prompts: tuple[str, ...] = ()  # empty: one a finding, of the validation split
    tracker: Literal["none", "tensorboard"] = "none"  # beside log.jsonl; the extra `tensorboard`

    @model_validator(mode="after")
    def _divisible(self) -> TrainSection:
        micro = self.micro_batch or self.batch
        if self.batch % micro:
            raise ValueError(
                f"batch ({self.batch}) must be a multiple of micro_batch ({micro}), "
                "so that every optimiser step sees whole micro-batches"
            )
        return self


class GridSection(Section):
    """The axes of a grid: every combination of what is named is a cell. ``finding: [all]`` is all.

    Side and severity are those of the finding, as the text states them.
    """

    finding: tuple[str, ...] = ()
    side: tuple[Literal["left", "right", "bilateral"], ...] = ()
    severity: tuple[str, ...] = ()  # in the labeller's words: mild, small, moderate to severe
    view: tuple[Literal["PA", "AP", "LATERAL"], ...] = ()
    sex: tuple[Literal["F", "M", "O"], ...] = ()
    age_band: tuple[Literal["0-19", "20-39", "40-59", "60-79", "80+"], ...] = ()
    each: PositiveInt | None = None  # images a cell; None: sample.count, shared equally

    @model_validator(mode="after")
    def _axes(self) -> GridSection:
        axes = {name: getattr(self, name) for name in type(self).model_fields if name != "each"}
        if not any(axes.values()):
            raise ValueError(f"a grid needs an axis: {', '.join(axes)}")
        if (self.side or self.severity) and not self.finding:
            raise ValueError("`side` and `severity` are those of a finding: give `finding`")
        twice = [name for name, values in axes.items() if len(set(values)) < len(values)]
        if twice:
            raise ValueError(f"`{twice[0]}` names a value twice")
        return self


PLAN_NEEDS: dict[str, tuple[str, ...]] = {  # kind: one of these, and none of another's
    "mirror": (),
    "balance": ("target", "prevalence"),
    "counts": ("counts",),
    "grid": ("grid",),
    "prompts": ("prompts",),
}
_PLAN_HINTS = {
    "target": "`target`, the number of images a finding",
    "prevalence": "`prevalence`, the share of the images",
    "counts": "`counts`, such as {pneumothorax: 200}",
    "grid": "`grid`, such as {finding: [hernia], sex: [F, M]}",
    "prompts": "`prompts`, a .csv, .jsonl or .txt file",
}


class PlanSection(Section):
    """Which images to make.

    ``mirror`` draws label sets as often as the training split has them. ``balance`` raises every
    finding to ``target`` images or to the share ``prevalence`` of them. ``counts`` raises the named
    findings to the given counts. ``grid`` gives every cell its share. These fill what remains of
    ``sample.count`` by mirroring. ``prompts`` takes the user's own texts.
    """

    kind: Literal["mirror", "balance", "counts", "grid", "prompts"] = "mirror"
    target: PositiveInt | None = None
    prevalence: float | None = Field(None, gt=0, le=1)
    counts: dict[str, PositiveInt] = Field(default_factory=dict)
    grid: GridSection | None = None
    prompts: Path | None = None  # CSV, JSONL, or TXT with one text a line
    recombine: bool = False  # new texts of the training reports' sentences, none word for word
    templates: bool = False  # new texts from the labels alone

    @model_validator(mode="after")
    def _complete(self) -> PlanSection:
        needs = PLAN_NEEDS[self.kind]
        given = [name for name in _PLAN_HINTS if getattr(self, name) not in (None, {})]
        for name in given:
            if name not in needs:
                kind = next(kind for kind, names in PLAN_NEEDS.items() if name in names)
                raise ValueError(
                    f"plan `{self.kind}` has no use for `{name}`; did you mean `{kind}`?"
                )
        if len(given) != min(1, len(needs)):
            hints = " or ".join(_PLAN_HINTS[name] for name in needs)
            raise ValueError(f"plan `{self.kind}` needs {hints}" + (", not both" if given else ""))
        if self.recombine and self.templates:
            raise ValueError("texts are either recombined or from templates, not both")
        if self.kind == "prompts" and (self.recombine or self.templates):
            raise ValueError("plan `prompts` uses your texts as they are, not made anew")
        return self


Solver = Literal["dpm++2m", "ddim", "euler", "unipc", "heun", "euler_ancestral", "ddpm"]
# At which a solver keeps 95 % of the standard deviation of texture (``sample.solvers``).
SOLVER_STEPS: dict[str, int | None] = {
    "dpm++2m": 20,
    "unipc": 20,
    "heun": 15,
    "ddim": 150,
    "euler": 200,
    "ddpm": 500,
    "euler_ancestral": None,  # none does
}


class FilterSection(Section):
    """Which images are refused and made again. Limits come from real validation images.

    All are off by default. ``reject`` is the share of real validation images that each filter that
    is on may refuse: what an honest generator loses.
    """

    labels: bool = False  # a classifier of real images does not see what was asked for
    alignment: str | None = None  # hf:FOLDER of a CLIP, …: image and text are far apart
    memorization: bool = False  # closer to a training image than unseen patients' images are
    near_duplicates: bool = False  # looks like an image earlier in the plan
    distribution: bool = False  # farther from real images than they are from each other
    quality: bool = False  # contrast, saturation or sharpness as in no real image
    reject: float = Field(0.02, gt=0.0, lt=0.5)
    extractor: str = "random-conv"  # features of memorization and distribution
    classifier_steps: PositiveInt = 1000  # of the classifier behind `labels`
    image_size: PositiveInt = 80  # what that classifier sees, in pixels
    cache: Path | None = None  # of the calibration; None: <run.out>/filters

    @property
    def active(self) -> tuple[str, ...]:
        """Names of the filters that are on."""
        names = ("labels", "alignment", "memorization", "distribution", "quality")
        return tuple(name for name in (*names, "near_duplicates") if getattr(self, name))


class SampleSection(Section):
    """The labelled synthetic dataset."""

    out: Path | None = None  # None: <run.out>/synthetic
    count: PositiveInt = 100
    batch: PositiveInt = 16
    steps: PositiveInt = 20  # solver steps; where not given or null, the solver's own
    guidance: float = Field(3.0, ge=1.0)  # 1 is off
    guidance_interval: tuple[float, float] = (0.0, 1.0)  # relative times where it acts, 1 is noise
    guidance_rescale: float = Field(0.0, ge=0.0, le=1.0)  # 0 is off; against over-exposure
    solver: Solver = "dpm++2m"
    spacing: Literal["auto", "model"] = "auto"  # model: a flow's times as the stock pipeline's
    plan: PlanSection = PlanSection()
    filters: FilterSection = FilterSection()
    weights: str | None = None  # None: the run's final weights
    device: Device = "auto"
    precision: Precision = "auto"
    previews: PositiveInt = 32  # images on the preview sheet
    retries: int = Field(2, ge=0)  # of an image that is not finite, constant or a repetition
    workers: PositiveInt = 1  # processes that share the work; on GPUs one each
    engine: Literal["local", "shared", "ray"] = "local"  # shared: one worker among others
    shard: PositiveInt = 256  # images a worker claims at a time, rounded up to whole batches
    png_level: int = Field(6, ge=0, le=9)  # 1 writes fast, larger files; the pixels are the same

    @model_validator(mode="before")
    @classmethod
    def _own_steps(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("steps") is not None:
            return values
        solver = str(values.get("solver", "dpm++2m"))
        steps = SOLVER_STEPS.get(solver, 20)
        if steps is None:
            raise ValueError(
                f"solver `{solver}` needs `steps`: at no practical number does it keep fine texture"
            )
        return values | {"steps": steps}

    @model_validator(mode="after")
    def _interval(self) -> SampleSection:
        low, high = self.guidance_interval
        if not 0.0 <= low <= high <= 1.0:
            raise ValueError("guidance_interval is [low, high] within [0, 1], where 1 is noise")
        return self


UtilityArm = Literal["real", "real+synthetic", "synthetic", "synthetic-then-real", "real+augmented"]


class UtilitySection(Section):
    """Downstream utility: classifiers trained on real, mixed and synthetic images."""

    steps: PositiveInt = 500  # gradient steps, the same in every arm
    seeds: PositiveInt = 3
    batch: PositiveInt = 32
    arms: tuple[UtilityArm, ...] = (
        "real",
        "real+synthetic",
        "synthetic",
        "synthetic-then-real",
        "real+augmented",
    )
    # Further arms of real + part of the synthetic images, as shares of the real count.
    alphas: tuple[Annotated[float, Field(gt=0)], ...] = ()
    # Searched on real validation patients, in every arm alike; empty: the network's own rate.
    learning_rates: tuple[Annotated[float, Field(gt=0)], ...] = ()
    early_stopping: bool = True  # keep the weights that score best on real validation patients
    finetune_share: float = Field(0.5, gt=0, lt=1)  # of the steps, in synthetic-then-real
    flips: bool = False  # mirror images in real+augmented; laterality is a label in a chest
    network: str = "builtin"  # or the folder of a transformers image model


class ProbeSection(Section):
    """The probe: logistic regression on frozen features, a preview of downstream utility."""

    arms: tuple[Literal["real", "real+synthetic", "synthetic"], ...] = (
        "real",
        "real+synthetic",
        "synthetic",
    )
    alphas: tuple[Annotated[float, Field(gt=0)], ...] = ()  # as utility.alphas
    # Of the L2 penalty, on standardized features; chosen on real validation patients in every arm.
    strengths: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (1e-3, 1e-2, 1e-1, 1.0, 10.0), min_length=1
    )


class RetrievalSection(Section):
    """Retrieval utility: image-text models trained on real, mixed and synthetic pairs."""

    steps: PositiveInt = 400  # gradient steps, the same in every arm
    seeds: PositiveInt = 3
    batch: int = Field(64, ge=2)  # pairs an update; each is compared with the others
    arms: tuple[UtilityArm, ...] = ("real", "real+synthetic", "synthetic")
    alphas: tuple[Annotated[float, Field(gt=0)], ...] = ()  # as utility.alphas
    learning_rate: float = Field(4e-3, gt=0)  # of the peak
    early_stopping: bool = True  # keep the weights that score best on real validation patients
    finetune_share: float = Field(0.5, gt=0, lt=1)  # of the steps, in synthetic-then-real


class SegmentationSection(Section):
    """Segmentation utility: U-Nets trained on real, mixed and synthetic images with masks."""

    steps: PositiveInt = 300  # gradient steps, the same in every arm
    seeds: PositiveInt = 3
    batch: PositiveInt = 16
    arms: tuple[UtilityArm, ...] = ("real", "real+synthetic", "synthetic")
    alphas: tuple[Annotated[float, Field(gt=0)], ...] = ()  # as utility.alphas
    learning_rate: float = Field(1e-2, gt=0)  # of the peak
    early_stopping: bool = True  # keep the weights that score best on real validation patients
    finetune_share: float = Field(0.5, gt=0, lt=1)  # of the steps, in synthetic-then-real
    flips: bool = False  # mirror images in real+augmented


class MetricsSection(Section):
    """The scores."""

    extractor: str = "auto"  # auto: the classifier's features where labels allow, else random-conv
    nearest_k: PositiveInt = 5
    bootstrap: PositiveInt = 1000  # resamples for intervals
    seed: int = Field(0, ge=0)
    classifier_steps: PositiveInt = 1000
    image_size: PositiveInt = 80  # what the classifier sees, in pixels
    utility: UtilitySection | None = UtilitySection()  # null: skip
    probe: ProbeSection | None = ProbeSection()  # null: skip
    retrieval: RetrievalSection | None = RetrievalSection()  # only where asked for
    segmentation: SegmentationSection | None = SegmentationSection()  # only where asked for
    device: Device = "auto"


class Config(Section):
    """A whole configuration file."""

    run: RunSection = RunSection()
    model: ModelSection = ModelSection()
    data: DataSection = DataSection()
    train: TrainSection = TrainSection()
    sample: SampleSection = SampleSection()
    metrics: MetricsSection = MetricsSection()
