"""A loader over many JPEGs: images a second and memory, epoch by epoch, in memory, from the disk cache, and streamed.

Each way has a process of its own. Anonymous memory is what the process itself holds; pages of the cache file that are
in memory are counted apart, since the system takes them back when it needs them. Run: `python benchmarks/loading.py`;
`--images 1000 --epochs 5` for a quick look.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from minidl import augment, data

RESULTS = Path(__file__).with_name("results") / "loading.json"
WAYS = ("memory", "cache", "stream")
SIZE, CLASSES, BATCH = 96, 10, 64


def write_jpegs(root: Path, count: int) -> int:
    """Smooth noise of 120 to 320 pixels, which packs as photographs do; returns the bytes of all files."""
    rng = np.random.default_rng(0)
    for i in range(count):
        folder = root / f"class {i % CLASSES}"
        folder.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3)).astype(np.uint8))
        smooth = coarse.resize(rng.integers(120, 321, 2).tolist(), Image.Resampling.BICUBIC)
        smooth.save(folder / f"{i}.jpg", quality=85)
    return sum(path.stat().st_size for path in root.rglob("*.jpg"))


def memory() -> dict[str, float]:
    """Resident memory in MiB: of the process itself, and of files that are mapped."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {name: int(lines[key].split()[0]) / 1024 for name, key in (("anonymous", "RssAnon"), ("files", "RssFile"),
                                                                      ("peak", "VmHWM"))}


def measure(root: str, way: str, cache: str, epochs: int) -> list[dict[str, float]]:
    """A row for opening the set, and one for each epoch."""
    start = time.perf_counter()
    settings = {"cache": cache} if way == "cache" else {"stream": way == "stream"}
    dataset = data.image_folder(root, SIZE, **settings)
    rows = [{"images_per_s": len(dataset) / (time.perf_counter() - start), **memory()}]
    transform = augment.Compose([augment.RandomCrop(SIZE, padding=8), augment.RandomHorizontalFlip()])
    loader = data.DataLoader(dataset.augmented(transform), BATCH, shuffle=True, seed=0)
    for _ in range(epochs):
        Path("/proc/self/clear_refs").write_text("5")            # the peak begins anew
        start, most = time.perf_counter(), 0.0
        for number, _ in enumerate(loader):
            if number % 20 == 0:
                most = max(most, memory()["anonymous"])
        rows.append({"images_per_s": len(dataset) / (time.perf_counter() - start), **memory(), "anonymous": most})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--streamed-epochs", type=int, default=3)
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)            # of one process
    args = parser.parse_args()
    if args.measure:
        root, way, cache, epochs = args.measure
        print(json.dumps(measure(root, way, cache, int(epochs))))
        return
    with tempfile.TemporaryDirectory() as folder:
        size = write_jpegs(Path(folder) / "photos", args.images)
        found = {"images": args.images, "jpeg_mib": size / 2**20, "decoded_mib": args.images * 3 * SIZE**2 / 2**20,
                 "size": SIZE, "batch": BATCH, "ways": {}}
        for way in (*WAYS, "cache"):                             # the second time the cache is there
            epochs = args.streamed_epochs if way == "stream" else args.epochs
            command = [sys.executable, __file__, "--measure", f"{folder}/photos", way, f"{folder}/cache", str(epochs)]
            rows = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            name = "cache, found again" if way in found["ways"] else way
            found["ways"][name] = [{key: round(value, 1) for key, value in row.items()} for row in rows]
            first, *rest = rows
            print(f"{name:20} opened at {first['images_per_s']:8,.0f} images/s; epochs at "
                  f"{np.median([row['images_per_s'] for row in rest]):9,.0f} images/s; anonymous memory "
                  f"{rest[0]['anonymous']:.0f} MiB in the first epoch, {rest[-1]['anonymous']:.0f} in the last")
    found["memory_mib"] = "anonymous: the most in an epoch; files: mapped, at its end; peak: both"
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
