"""Write the tables of docs/performance.md from the figures in results/, each between its marks in the page.

Run: `python benchmarks/tables.py`, after `layers.py`, `networks.py` and `reasons.py`.
"""

import re
from pathlib import Path

import common

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"


def layers(figures):
    """Two tables: layers limited by arithmetic, and layers limited by memory."""
    peaks = figures["peaks"]
    by_unit = {"GFLOP/s": [], "GB/s": []}
    for name, result in figures["layers"].items():
        cells = [f"{r['minidl']:.0f} ({r['ratio']:.2f}x, {r['minidl'] / peaks[r['unit']]:.0%})"
                 for r in result.values()]
        by_unit[result["forward"]["unit"]].append(f"| {name} | {' | '.join(cells)} |")
    summary = "; ".join(f"{name}: geometric mean {ratio['geometric_mean']:.2f}, lowest {ratio['least']:.2f}"
                        for name, ratio in figures["ratios"].items())
    return f"""Matrix products in GFLOP/s, with the ratio to PyTorch and the share of the peak, {peaks["GFLOP/s"]:.0f}:

| layer | forward | input gradient | weight gradient |
|---|---:|---:|---:|
{lines(by_unit["GFLOP/s"])}

Other layers in GB/s, likewise; the peak is {peaks["GB/s"]:.0f}:

| layer | forward | gradient |
|---|---:|---:|
{lines(by_unit["GB/s"])}

Ratio to PyTorch: {summary}."""


def slower(figures):
    """The passes that take longer than PyTorch's, slowest first."""
    found = sorted((r["ratio"], name, kind) for name, result in figures["layers"].items()
                   for kind, r in result.items() if r["ratio"] < 1)
    total = sum(map(len, figures["layers"].values()))
    rows = lines(f"| {name} | {kind} | {ratio:.2f} |" for ratio, name, kind in found)
    return f"{len(found)} of {total} passes are slower:\n\n| layer | pass | ratio to PyTorch |\n|---|---|---:|\n{rows}"


def networks(figures):
    """Whole networks."""
    rows = []
    for name, result in figures["networks"].items():
        cells = [f"{result[kind]['minidl']:.0f} ({result[kind]['ratio']:.2f}x)" for kind in ("training", "inference")]
        memory = result["peak_memory_MiB"]
        rows.append(f"| {name} | {' | '.join(cells)} | {memory['minidl']:.0f} | {memory['torch']:.0f} |")
    means = figures["geometric_means"]
    return f"""| network | training, images/s | inference, images/s | peak memory, MiB | PyTorch's |
|---|---:|---:|---:|---:|
{lines(rows)}

Geometric mean of the ratios: training {means["training"]:.2f}, inference {means["inference"]:.2f}."""


def reasons(figures):
    """The gain of each idea."""
    rows = (f"| {r['about']} | {r['with (ms)']:.2f} | {r['without (ms)']:.2f} | {r['ratio']:.1f} |"
            for r in figures["reasons"].values())
    return f"| work | with, ms | without, ms | ratio |\n|---|---:|---:|---:|\n{lines(rows)}"


def lines(rows):
    """The rows, joined by newlines."""
    return "\n".join(rows)


def measured(machine):
    """The date, machine and versions of the measurements."""
    return (f"Measured {machine['date']}: {machine['processor']}, {machine['threads']} threads, Python "
            f"{machine['python']}, NumPy {machine['numpy']}, Numba {machine['numba']}, PyTorch {machine['torch']}.")


TABLES = {"layers": layers, "slower": slower, "networks": networks, "reasons": reasons}


def main():
    """Replace everything between `<!-- NAME of FILE -->` and `<!-- end -->`."""
    def table(mark):
        name, file = mark["name"], mark["file"]
        figures = common.load(file)
        text = (f"{TABLES[name](figures)}\n\n{measured(figures['machine'])}" if figures
                else f"Not measured yet: `python benchmarks/{file}.py` writes `benchmarks/results/{file}.json`.")
        return f"<!-- {name} of {file} -->\n\n{text}\n\n<!-- end -->"

    mark = re.compile(r"<!-- (?P<name>\w+) of (?P<file>\w+) -->.*?<!-- end -->", re.DOTALL)
    PAGE.write_text(mark.sub(table, PAGE.read_text()))


if __name__ == "__main__":
    main()
