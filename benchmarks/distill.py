"""A step of a student, against the step that scripts for LCD and RG-LCD publish.

    python -m benchmarks.distill [--rounds 5] [--batch 32]

The straight step asks the live teacher twice, decodes and scores the whole batch at once with all of its
history, and backpropagates through everything. Ours has the teacher's answers from `trajectories`, and the
reward's gradient in parts. Both have the miniature world's models, one thread, bf16 autocast, and fused
AdamW; they take turns, and the medians of CPU time count. Memory is the peak of a process of its own.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np
import torch
import yaml
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor

from benchmarks._report import peak_beyond, peak_of, report
from rglcd_pipelines.config import check
from rglcd_pipelines.diffusion.consistency import consistency, pseudo_huber
from rglcd_pipelines.diffusion.decoder import pictures
from rglcd_pipelines.diffusion.guidance import omega_embedding
from rglcd_pipelines.diffusion.settings import TeacherConfig
from rglcd_pipelines.diffusion.solver import DdimSolver
from rglcd_pipelines.diffusion.teacher import Teacher, load_teacher
from rglcd_pipelines.diffusion.vae import VaeConfig, load_vae
from rglcd_pipelines.rewards.catalog import load_reward
from rglcd_pipelines.rewards.settings import RewardConfig
from rglcd_pipelines.training.batches import StepBatch
from rglcd_pipelines.training.draws import draw
from rglcd_pipelines.training.guide import RewardGuide, decoded
from rglcd_pipelines.training.learner import StudentLearner
from rglcd_pipelines.training.objective import arrive
from rglcd_pipelines.training.ranks import Ranks
from rglcd_pipelines.training.settings import DistillConfig, OptimizerConfig
from rglcd_pipelines.training.step import Loss, Work
from rglcd_pipelines.training.student import FullStudent
from rglcd_pipelines.training.update import Update
from rglcd_pipelines.world.sets import read_strings
from rglcd_pipelines.world.vocabulary import STYLES

WORLD = Path("data/06_models/base/world")
CPU = torch.device("cpu")
REWARD, BETA, PART = "hps", 1.0, 16


class Bench:
    """The models of a student's training, and one batch."""

    def __init__(self, batch: int) -> None:
        folder = str(WORLD / "teacher")
        self.teacher: Teacher = load_teacher(TeacherConfig(source="folder", id=folder, latent_factor=4))
        self.vae = load_vae(VaeConfig(source="folder", id=f"{folder}/vae"), CPU, torch.float32)
        told = yaml.safe_load(Path("conf/base/parameters_distill.yml").read_text(encoding="utf-8"))["distill"]
        settings = check(DistillConfig, told, "distill")
        self.student = FullStudent(self.teacher.unet, settings, CPU)
        self.teacher.unet.set_attn_processor(AttnProcessor())  # as the student's
        self.reward = load_reward(REWARD, {REWARD: RewardConfig(kind="clip", id=str(WORLD / REWARD))}, CPU)
        self.solver = DdimSolver(self.teacher.schedule)
        self.settings = settings
        self.update = Update(self.student.trained, OptimizerConfig(lr=1e-5), steps=1)
        captions = [text for style in STYLES for text in read_strings(WORLD / f"sets/prompts/{style}.json")]
        drawn = draw(0, 0, batch, (4, 8, 8), 50, (2.0, 6.0))
        z0 = torch.randn(batch, 4, 8, 8, generator=torch.Generator().manual_seed(0))
        self.batch = StepBatch(z0, captions[:: len(captions) // batch][:batch], drawn, np.arange(batch))

    def work(self) -> Work:
        """With the teacher's answers, as `trajectories` keeps them."""
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            said = self.teacher.conditioner.say(self.batch.captions)
            return Work(self.batch, arrive(self.solver, self.teacher, self.batch, said).float())

    def guide(self) -> RewardGuide:
        return RewardGuide(decoded(self.reward, self.vae, bf16=True), BETA, PART)


def ours(bench: Bench, guided: bool) -> Callable[[], object]:
    """Our step, its optimizer and its target network."""
    work, guide = bench.work(), bench.guide() if guided else None
    loss = Loss(bench.student, bench.teacher.conditioner, bench.solver, "huber", guide)
    learner = StudentLearner(loss, bench.settings, Ranks(0, 1, CPU))
    learner.working().__enter__()
    return lambda: learner.step(0, work)


def straight(bench: Bench, guided: bool) -> Callable[[], None]:
    """The published scripts' step, in words of our own."""
    student, teacher, solver, batch = bench.student, bench.teacher, bench.solver, bench.batch
    schedule, draws = solver.schedule, batch.draws
    online: Any = student.online
    target: Any = student.target

    def step() -> None:
        t = solver.times[draws.index]
        z = schedule.noisy(batch.z0, draws.noise, t)
        with torch.autocast("cpu", torch.bfloat16):
            states = teacher.conditioner.say(batch.captions).states
            empty = teacher.conditioner.leave_out(len(z)).states
            told = omega_embedding(draws.omega)
            output = online(z, t, encoder_hidden_states=states, timestep_cond=told).sample
            z0_hat = consistency(schedule, output.float(), z, t)
            with torch.no_grad():
                said = teacher.unet(z, t, encoder_hidden_states=states).sample.float()
                unsaid = teacher.unet(z, t, encoder_hidden_states=empty).sample.float()
                early = solver.augmented(z, draws.index, said, unsaid, draws.omega)
                earlier = solver.earlier[draws.index]
                output = target(early, earlier, encoder_hidden_states=states, timestep_cond=told).sample
                goal = consistency(schedule, output.float(), early, earlier)
            loss = pseudo_huber(z0_hat, goal).mean()
            if guided:
                images = pictures(bench.vae, z0_hat)
                loss = loss - BETA * bench.reward.score(images, batch.captions).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.trained, 1.0)
        bench.update.optimizer.step()
        bench.update.optimizer.zero_grad()
        with torch.no_grad():
            for follower, leader in zip(target.parameters(), online.parameters(), strict=True):
                follower.mul_(0.95).add_(leader, alpha=0.05)

    return step


def shares(bench: Bench) -> dict[str, float]:
    """Milliseconds an image of each part of our step."""
    work, guide, student = bench.work(), bench.guide(), bench.student
    said = bench.teacher.conditioner.say(bench.batch.captions)
    omega = omega_embedding(bench.batch.draws.omega)
    t = bench.solver.times[bench.batch.draws.index]

    def forward(network: Any) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
            return said.call(network, work.early, t, omega)

    def online() -> None:
        torch.autograd.grad(forward(student.online).sum(), student.trained)

    def target() -> None:
        with torch.no_grad():
            forward(student.target)

    def text() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            bench.teacher.conditioner.say(bench.batch.captions)

    def pull() -> None:
        guide.pull(work.early, bench.batch.captions)

    parts = {"text": text, "target": target, "online": online, "reward": pull, "teacher": bench.work}
    return {f"{name}_ms": round(1000 * cpu(part) / len(work.early), 2) for name, part in parts.items()}


def cpu(do: Callable[[], object]) -> float:
    began = process_time()
    do()
    return process_time() - began


def ratios(bench: Bench, guided: bool, rounds: int) -> dict[str, float]:
    """Milliseconds an image of both, taking turns, and how many times ours is faster."""
    both = {"straight": straight(bench, guided), "ours": ours(bench, guided)}
    for step in both.values():
        step()
    times: dict[str, list[float]] = {name: [] for name in both}
    for _ in range(rounds):
        for name, step in both.items():
            times[name].append(cpu(step))
    each = {f"{name}_ms": 1000 * median(taken) / len(bench.batch.z0) for name, taken in times.items()}
    faster = median(a / b for a, b in zip(times["straight"], times["ours"], strict=True))
    return each | {"faster": faster}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--peak", choices=["plain", "guided"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.peak:
        print(peak_beyond(ours(Bench(options.batch), guided=options.peak == "guided")))
        return 0
    bench = Bench(options.batch)
    figures: dict[str, float] = {"batch": options.batch, **shares(bench)}
    faster: dict[str, float] = {}
    for name, guided in (("lcm", False), ("rg", True)):
        found = ratios(bench, guided, options.rounds)
        figures |= {f"{name}_{key}": round(value, 2) for key, value in found.items() if key != "faster"}
        faster[name] = round(found["faster"], 2)
    memory = {
        name: round(peak_of("distill", what, options.batch))
        for name, what in (("lcm", "plain"), ("rg", "guided"))
    }
    figures |= {f"{name}_peak_mib": value for name, value in memory.items()}
    bars = {
        "lcm_faster": (faster["lcm"], ">= 1.4"),
        "rg_faster": (faster["rg"], ">= 1.25"),
        "rg_memory_over_lcm": (round(memory["rg"] / memory["lcm"], 2), "<= 1.5"),
    }
    return 0 if report("distill", figures, bars) else 1


if __name__ == "__main__":
    sys.exit(main())
