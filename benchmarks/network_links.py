"""Two hosts joined by a slow link, on one machine: step times against the model of `distributed_model.py`.

    sudo python benchmarks/network_links.py [--networks resnet20] [--rates 1000 100]

Two network namespaces, joined by a pair of virtual devices, stand for the hosts, with a rank in each. `tc` holds the
link to a rate, in Mbit/s, and delays it by --delay milliseconds where the kernel has netem; if not, only the rate is
held. The latency is measured by messages of one number, and the time of computing by runs without a limit. Needs root,
`ip` and `tc`, and the extra `mpi` with MPICH.
"""

import argparse
import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from distributed import timed
from distributed_model import NETWORKS, Link, buckets, ring, step

import zoo

HOSTS = {"minidl-a": "10.99.7.1", "minidl-b": "10.99.7.2"}
DEVICE = "minidl0"
# MPICH over TCP sometimes fails to start in a namespace, and hangs; MPIEXEC_TIMEOUT, in seconds, ends such a run
SURROUNDINGS = {"MPIR_CVAR_CH4_NETMOD": "ofi", "FI_PROVIDER": "tcp", "FI_TCP_IFACE": DEVICE, "MPIEXEC_TIMEOUT": "120"}
ATTEMPTS = 5


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--rates", type=int, nargs="+", default=[1000, 100], help="Mbit/s")
    parser.add_argument("--delay", type=float, default=1.0, help="milliseconds, one way")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--dry-run", action="store_true", help="do not write the result")
    args = parser.parse_args()
    found = []
    with hosts() as launcher:
        free = {name: seconds(name, args.steps, launcher) for name in args.networks}
        for rate in args.rates:
            delayed = hold(rate, args.delay)
            link = Link(f"{rate} Mbit/s", latency(launcher), rate * 125e3 * 0.95)      # 5 % are headers
            print(f"{link.name}, {'with' if delayed else 'WITHOUT'} delay: a message takes {1e3 * link.latency:.2f} ms")
            for name, compress in itertools.product(args.networks, (False, True)):
                taken = seconds(name, args.steps, launcher, compress)
                parts = buckets(zoo.create(name), (3, 32, 32))
                computing = free[name] - sum(ring(size, 2, Link("", 0.0, 1e10)) for _, size in parts)
                expected = step(computing, parts, 2, link, compress)
                found.append({"network": name, "rate": rate, "delayed": delayed, "bfloat16": compress,
                              "measured": taken, "model": expected})
                print(f"  {name:20} {'bfloat16' if compress else 'float32':8} measured {1e3 * taken:8.1f} ms   "
                      f"model {1e3 * expected:8.1f} ms   {taken / expected - 1:+.0%}", flush=True)
    if not args.dry_run:
        from common import save  # imported here because it needs PyTorch, which the rest does not

        save("network_links", {"links": found})
    return 0


def run(*command):
    """Run a command of the system; its errors end the benchmark."""
    subprocess.run(command, check=True, stdout=subprocess.PIPE)


@contextlib.contextmanager
def hosts():
    """The two namespaces, with the command that starts a rank in each; they are removed afterwards."""
    first, second = HOSTS
    with contextlib.ExitStack() as stack:
        for name in HOSTS:
            run("ip", "netns", "add", name)
            stack.callback(run, "ip", "netns", "del", name)
        run("ip", "link", "add", DEVICE, "netns", first, "type", "veth", "peer", "name", DEVICE, "netns", second)
        for name, address in HOSTS.items():
            for command in (["ip", "address", "add", f"{address}/24", "dev", DEVICE],
                            ["ip", "link", "set", DEVICE, "up"], ["ip", "link", "set", "lo", "up"]):
                run("ip", "netns", "exec", name, *command)
        os.environ.update(SURROUNDINGS)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        shell = Path(folder, "shell")            # in place of ssh: `shell [options] address command`
        shell.write_text('#!/bin/sh\nwhile [ "${1#-}" != "$1" ]; do shift; done\ncase $1 in\n'
                         + "".join(f"{address}) name={name};;\n" for name, address in HOSTS.items())
                         + 'esac\nshift\nexec ip netns exec "$name" sh -c "$*"\n')
        shell.chmod(0o700)
        yield ["ip", "netns", "exec", first, "mpiexec", "-launcher", "ssh", "-launcher-exec", str(shell),
               "-localhost", HOSTS[first], "-hosts", ",".join(HOSTS.values())]


def hold(rate, delay):
    """Hold both ends of the link to a rate; returns whether it is delayed, too."""
    delayed = True
    for name in HOSTS:
        inside = ("ip", "netns", "exec", name, "tc", "qdisc")
        subprocess.run([*inside, "del", "dev", DEVICE, "root"], check=False, stderr=subprocess.DEVNULL)
        # the burst holds whole packets of 64 KiB: cutting them up would take as long as computing
        run(*inside, "add", "dev", DEVICE, "root", "handle", "1:", "tbf", "rate", f"{rate}mbit", "burst", "256kb",
            "latency", "400ms")
        netem = subprocess.run([*inside, "add", "dev", DEVICE, "parent", "1:", "netem", "delay", f"{delay}ms"],
                               check=False, stderr=subprocess.DEVNULL)
        delayed &= netem.returncode == 0
    return delayed


def latency(launcher):
    """The seconds that one number takes from one rank to the other: a sum is two messages, one after the other."""
    return seconds(None, 0, launcher) / 2


def seconds(name, steps, launcher, compress=False):
    """The seconds of a step of two ranks, by the first run that starts."""
    for _ in range(ATTEMPTS):
        with contextlib.suppress(subprocess.CalledProcessError):
            return timed(name, steps, 2, alone=False, launcher=launcher, compress=compress)["seconds"]
    raise SystemExit(f"MPI did not start in {ATTEMPTS} attempts")


if __name__ == "__main__":
    sys.exit(main())
