"""A student that nobody trained: a folder of the same shape, to be sent about."""

from pathlib import Path

from rglcd_pipelines.artifacts import Artifact, digest_files, draft, publish

FILES = {
    "README.md": b"---\nlibrary_name: diffusers\nbase_model: tester/teacher\n---\n# lcm: see https://a.org/b/c\n",
    "losses.csv": b"step,loss\n1,0.5\n",
    "model_index.json": b'{"_class_name": "LatentConsistencyModelPipeline", "unet": ["diffusers", "UNet"]}',
    "tokenizer/merges.txt": b"#version\n/ /\na b</w>\n",
    "unet/config.json": b'{"_name_or_path": "data/06_models/base/world/teacher"}',
    "unet/diffusion_pytorch_model.safetensors": bytes(range(256)) * 1000,
    "vae/diffusion_pytorch_model.safetensors": b"small, and large all the same",
    "vae/empty.txt": b"",
}


def make_student(place: Path, files: dict[str, bytes] | None = None, variant: str = "lcm") -> Artifact:
    """A finished student at `place`."""
    made_from = {"format": 1, "files": sorted(files or {})}
    with draft(place, made_from) as work:
        for name, content in {**FILES, **(files or {})}.items():
            file = work.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        body = {"variant": variant, "files": digest_files(work.path)}
        return publish(work, place, "student", made_from, body, {})


def content(student: Artifact) -> dict[str, bytes]:
    """All of its files, by name."""
    return {
        file.relative_to(student.path).as_posix(): file.read_bytes()
        for file in student.path.rglob("*")
        if file.is_file()
    }
