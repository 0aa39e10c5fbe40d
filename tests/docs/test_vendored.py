"""Packages of npm: what has another checksum is refused, what is missing is said, and parts come back as they were."""

import base64
import gzip
import hashlib
import io
import tarfile

import pytest

from docs.vendored import LOADER, NpmError, files, npm, part_script, write_parts
from tests.docs.browser import chromium, needs_browser

NAME = "onnxruntime-web"


def archive(content):
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as opened:
        info = tarfile.TarInfo("package/one.js")
        info.size = len(content)
        opened.addfile(info, io.BytesIO(content))
    return written.getvalue()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A folder with an archive that is the pinned one."""
    content = archive(b"one")
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()
    monkeypatch.setitem(npm.PACKAGES, NAME, {"version": "1.0.0", "integrity": integrity})
    (tmp_path / f"{NAME}-1.0.0.tgz").write_bytes(content)
    return tmp_path


def test_files_of_an_archive(cache):
    assert files(NAME, "one.js", cache=cache) == [b"one"]
    with pytest.raises(NpmError, match=r"has no file two\.js"):
        files(NAME, "two.js", cache=cache)


def test_another_checksum_is_refused(cache):
    (cache / f"{NAME}-1.0.0.tgz").write_bytes(archive(b"other"))
    with pytest.raises(NpmError, match="checksum"):
        files(NAME, "one.js", cache=cache)


def test_without_npm_it_says_what_to_do(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(npm.shutil, "which", lambda _: None)
    monkeypatch.setattr(npm.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(NpmError, match=r"there is no npm here to fetch it; install Node\.js"):
        files(NAME, "one.js", cache=tmp_path / "empty")


def test_every_package_is_pinned():
    for package in npm.PACKAGES.values():
        assert package["integrity"].startswith("sha512-") and package["version"] and package["license"]


def test_a_part_is_the_same_each_time():
    script = part_script("one", b"\x00\xff</script>")
    assert script == part_script("one", b"\x00\xff</script>") and b"</" not in script
    packed = script.split(b'"')[3]
    assert gzip.decompress(base64.b64decode(packed)) == b"\x00\xff</script>"


@needs_browser
def test_a_part_comes_back_in_the_browser(tmp_path):
    content = bytes(range(256)) * 5
    write_parts(tmp_path / "parts", [("one", content)])
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><script>{LOADER.read_text('utf-8')}</script>", "utf-8")
    with chromium() as browser:
        tab = browser.new_page()
        tab.goto(page.as_uri())
        for _ in range(2):  # a second time it is loaded again
            assert bytes(tab.evaluate("part('parts/', 'one').then((bytes) => [...bytes])")) == content
        assert "made without npm" in tab.evaluate("part('parts/', 'two').catch((error) => error.message)")
        tab.close()
