"""The tests of std::net::UdpSocket in Rust's standard library, from Debian's source package, which stays where it is."""

import glob
import pathlib
import re
import subprocess

from both import both, need, need_program

SOURCES = "/usr/src/rustc-*/library/std/src/net"

# What the tests take from the library's own module of helpers.
PORTS = """
mod ports {
    use std::net::*;
    use std::sync::atomic::{AtomicU16, Ordering};
    static PORT: AtomicU16 = AtomicU16::new(19600);
    fn next() -> u16 { PORT.fetch_add(1, Ordering::SeqCst) }
    pub fn next_test_ip4() -> SocketAddr { (Ipv4Addr::LOCALHOST, next()).into() }
    pub fn next_test_ip6() -> SocketAddr { (Ipv6Addr::LOCALHOST, next()).into() }
}
"""


def build(folder):
    (found,) = glob.glob(SOURCES) or [SOURCES]
    need(f"{found}/udp/tests.rs", "rust-src")
    need_program("rustc", "rustc")
    text = pathlib.Path(found, "udp/tests.rs").read_text().replace("crate::net::test::", "crate::ports::")
    text = re.sub(r"\bcrate::(?!ports)", "std::", text)
    text = re.sub(r"\.0\.socket\(\)\.as_raw(_fd)?\(\)", ".as_raw_fd()", text)  # a private field, for the same number
    (folder / "tests.rs").write_text(text + "use std::os::unix::io::AsRawFd;" + PORTS)
    subprocess.run(["rustc", "--test", "--edition", "2021", "-A", "warnings", "-o", "tests", "tests.rs"], cwd=folder, check=True)
    return folder / "tests"


def passed(text):
    return set(re.findall(r"^test (\S+) \.\.\. ok$", text, re.M))


def test_pass_as_on_the_kernel(tmp_path):
    kernel, fast = both([build(tmp_path)], tmp_path)
    assert len(passed(kernel.text)) > 10, kernel.text
    assert passed(kernel.text) - passed(fast.text) == set(), fast.text
    assert fast.stats["rx"]["fast"] > 10 and fast.fast_share() >= 0.9, fast.stats
