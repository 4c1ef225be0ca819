"""Several processes: what is refused, how they share the work, and how SLURM starts them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from synth.errors import SynthError, UsageError
from train import preview
from train.processes import on_main, open_accelerator, require_agreement
from train.run import fine_tune
from train.shard import check_sharding, shard, split, whole

CPU = torch.device("cpu")
SCRIPT = Path(__file__).parents[2] / "configs/slurm/train.sbatch"

REFUSED = [
    ({}, {}, CPU, 1, "one"),
    ({}, {}, torch.device("mps"), 2, "mps"),
    ({"adapter": "lora"}, {}, CPU, 2, "lora"),
    ({"train_text_encoder": True}, {}, CPU, 2, "model.train_text_encoder=true"),
    ({"conditions": ["view"]}, {}, CPU, 2, "model.conditions=['view']"),
    ({}, {"optim": {"kind": "adamw8bit"}}, CPU, 2, "adamw8bit"),
    ({}, {"precision": "fp16"}, CPU, 2, "fp16"),
]


@pytest.mark.parametrize(("model", "train", "device", "processes", "got"), REFUSED)
def test_sharding_is_refused_where_it_cannot_run(
    tmp_path, make_config, model, train, device, processes, got
):
    config = make_config(tmp_path, model=model, sharding="fsdp2", **train)
    with pytest.raises(UsageError, match="fsdp2 cannot shard this run") as refused:
        check_sharding(config, device, processes)
    assert refused.value.got == got
    check_sharding(make_config(tmp_path, model=model, **train), device, processes)


def test_sharding_is_refused_before_anything_is_loaded(tmp_path, make_config):
    config = make_config(tmp_path, sharding="fsdp2", model={"weights": str(tmp_path / "none")})
    with pytest.raises(UsageError, match="fsdp2 cannot shard this run"):
        fine_tune(config)


@pytest.mark.parametrize("engine", ["FSDP", "DEEPSPEED"])
def test_what_accelerate_would_do_by_itself_is_refused(tmp_path, make_config, monkeypatch, engine):
    monkeypatch.setenv(f"ACCELERATE_USE_{engine}", "true")
    with pytest.raises(UsageError, match="accelerate's own sharding is not used"):
        open_accelerator(make_config(tmp_path))


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path, make_config, monkeypatch):
    import accelerate

    three = SimpleNamespace(num_processes=3)
    monkeypatch.setattr(accelerate, "Accelerator", lambda **_: three)
    with pytest.raises(UsageError, match="cannot be shared evenly") as refused:
        open_accelerator(make_config(tmp_path, batch=4, micro_batch=1))
    assert refused.value.expected == "a multiple of 3"
    assert open_accelerator(make_config(tmp_path, batch=6, micro_batch=2)) is three


def test_processes_that_found_other_checkpoints_do_not_begin():
    def found(*everywhere: int) -> SimpleNamespace:
        return SimpleNamespace(device=CPU, gather=lambda own: torch.tensor(everywhere))

    require_agreement(found(8, 8), 8)
    require_agreement(found(-1, -1), -1)
    with pytest.raises(SynthError, match="do not see the same checkpoints") as refused:
        require_agreement(found(8, -1), 8)
    assert refused.value.got == "8 images, none"


def test_a_run_asks_whether_all_found_the_same_checkpoint(tmp_path, make_config, monkeypatch):
    from accelerate import Accelerator

    monkeypatch.setattr(Accelerator, "gather", lambda _, own: torch.cat([own, own + 9]))
    with pytest.raises(SynthError, match="do not see the same checkpoints"):
        fine_tune(make_config(tmp_path))


def test_when_the_first_process_fails_all_of_them_end():
    def fail() -> None:
        raise OSError("full")

    told = []

    def process(rank: int, others: float) -> SimpleNamespace:
        def reduce(own: Tensor, reduction: str) -> Tensor:
            told.append(float(own))
            return own + others

        return SimpleNamespace(is_main_process=rank == 0, device=CPU, reduce=reduce)

    with pytest.raises(OSError, match="full"):
        on_main(process(0, 0.0), fail)
    with pytest.raises(SynthError, match="the first process could not save"):
        on_main(process(1, 1.0), fail)
    on_main(process(1, 0.0), fail)  # not its work
    assert told == [1.0, 0.0, 0.0]


class Reducer:
    """An accelerator that keeps what its process would add."""

    def __init__(self, rank: int, world: int) -> None:
        self.process_index, self.num_processes, self.device = rank, world, CPU
        self.added = torch.zeros(0)

    def reduce(self, tensor: Tensor, reduction: str) -> Tensor:
        assert reduction == "sum"
        self.added = tensor
        return tensor


@pytest.mark.parametrize("world", [2, 3, 4, 7])
def test_validation_is_shared_out_evenly_and_adds_up(monkeypatch, world):
    """Five parts of unequal lengths; sharded networks need equally many passes everywhere."""
    parts = [[("example", float(2 * i + k)) for k in range(2 - i // 4)] for i in range(5)]
    passes = []

    def loss(_: object, batch: list[tuple[str, float]], gamma: object) -> Tensor:
        passes.append(batch)
        return torch.tensor([time for _, time in batch])

    monkeypatch.setattr(preview, "batch_loss", loss)
    batches = SimpleNamespace(fixed=lambda part: part)
    alone = torch.cat(preview._losses(None, parts, batches, None))
    counts, total = set(), torch.zeros(len(alone))
    for rank in range(world):
        passes.clear()
        reducer = Reducer(rank, world)
        shared = preview._losses(None, parts, batches, reducer)
        assert [len(losses) for losses in shared] == [len(part) for part in parts]
        counts.add(len(passes))
        total += reducer.added
    assert counts == {-(-5 // world)}
    assert torch.equal(total, alone)
    assert preview._losses(None, [], batches, Reducer(0, world)) == []


@pytest.fixture
def alone():
    """A process group of this process."""
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


class Net(nn.Module):
    """Two blocks in a list inside of another module, and what surrounds them."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Module()
        self.body.blocks = nn.ModuleList([nn.Linear(3, 3), nn.ModuleList([nn.Linear(3, 3)])])
        self.last = nn.Linear(3, 3)


def test_every_block_is_a_unit_and_tensors_come_back_whole(alone):
    from torch.distributed.fsdp import FSDPModule

    from train.checkpoint import Checkpoint

    net = Net()
    net.body.blocks[1] = nn.Sequential(nn.ModuleList([nn.Linear(3, 3)]))  # no unit of its own
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    shard(net, CPU)
    units = [name for name, module in net.named_modules() if isinstance(module, FSDPModule)]
    assert units == ["", "body.blocks.0", "body.blocks.1"]
    own = dict(net.named_parameters())
    assert own.keys() == before.keys()
    assert all(type(p.data).__name__ == "DTensor" for p in own.values())
    gathered = whole({name: p.detach() for name, p in own.items()}, keep=True)
    assert all(torch.equal(gathered[name], before[name]) for name in before)
    assert whole(own, keep=False) == {}
    moments = {f"{name}/exp_avg": t for name, t in before.items()} | {
        "last.bias/step": torch.tensor(1.0)
    }
    averages = before | {f"0.05@{name}": t for name, t in before.items()}
    made = split(Checkpoint(before, averages, moments, {}), own)
    kinds = {name: type(t).__name__ for t in (made.ema, made.optimizer) for name, t in t.items()}
    assert kinds.pop("last.bias/step") == "Tensor"
    assert set(kinds.values()) == {"DTensor"}
    assert torch.equal(whole(made.ema, keep=True)["0.05@last.bias"], before["last.bias"])


def test_a_sharded_transformer_computes_what_it_did(alone):
    """Blocks are gathered twice under checkpointing; once without gradient comes first."""
    from diffusers import SD3Transformer2DModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = SD3Transformer2DModel(
            sample_size=8,
            in_channels=4,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=16,
            caption_projection_dim=16,
            pooled_projection_dim=16,
            out_channels=4,
            pos_embed_max_size=8,
        )
        x, tokens, pooled = torch.randn(2, 4, 8, 8), torch.randn(2, 5, 16), torch.randn(2, 16)
    times = torch.tensor([100.0, 700.0])

    def run() -> tuple[Tensor, dict[str, Tensor]]:
        net.zero_grad()
        output = net(x, tokens, pooled, times).sample
        output.square().mean().backward()
        return output.detach(), whole({n: p.grad for n, p in net.named_parameters()}, keep=True)

    output, gradients = run()
    gradients = {name: gradient.clone() for name, gradient in gradients.items()}
    net.enable_gradient_checkpointing()
    shard(net, CPU)
    with torch.no_grad():
        net(x, tokens, pooled, times)
    same_output, same_gradients = run()
    torch.testing.assert_close(same_output, output, rtol=0, atol=1e-6)
    for name, gradient in gradients.items():
        torch.testing.assert_close(same_gradients[name], gradient, rtol=0, atol=1e-6)


FAKES = {  # what the script calls
    "scontrol": """[ "$1" = show ] && printf 'node1\\nnode2\\n' || echo "$@" >> "$CALLS" """,
    "srun": """
shift  # --wait
for task in 0 1 2 3; do
    SLURM_PROCID=$task SLURM_LOCALID=$((task % 2)) "$@" || code=$?
done
exit ${code:-0}""",
    "synth": """
echo "$MASTER_ADDR:$MASTER_PORT $RANK/$WORLD_SIZE $LOCAL_RANK/$LOCAL_WORLD_SIZE $*" >> "$CALLS"
exit $ENDS""",
}


@pytest.mark.skipif(os.name != "posix", reason="a shell script")
@pytest.mark.parametrize("code", [0, 1, 130])
def test_the_slurm_script_starts_every_process_and_queues_a_stopped_run_again(tmp_path, code):
    for name, body in FAKES.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "CALLS": str(tmp_path / "calls"),
        "ENDS": str(code),
        "SLURM_JOB_ID": "20007",
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_NTASKS": "4",
        "SLURM_NTASKS_PER_NODE": "2",
    }
    command = ["bash", str(SCRIPT), "a config.yaml", "run.out=/shared/a b"]
    assert subprocess.run(command, env=environment, check=False).returncode == code
    lines = (tmp_path / "calls").read_text().splitlines()
    said = "train a config.yaml run.out=/shared/a b"
    expected = [f"node1:20007 {rank}/4 {rank % 2}/2 {said}" for rank in range(4)]
    assert lines == expected + (["requeue 20007"] if code == 130 else [])
