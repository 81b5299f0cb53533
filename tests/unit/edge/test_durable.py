"""The seam to the file system: what it is asked to do has been done when it returns."""

from __future__ import annotations

from pathlib import Path

from edge.durable import FILES, FileSystem
from edge.store.payload_files import PayloadFiles


def test_a_file_is_written_renamed_and_taken_away(tmp_path: Path) -> None:
    """Every change is there for whoever reads next."""
    folder = tmp_path / "a" / "b"
    FILES.make_folder(folder)
    FILES.make_folder(folder)
    with (folder / "unfinished").open("wb") as file:
        file.write(b"content")
        FILES.force_out(file)

        assert b"content" == (folder / "unfinished").read_bytes()

    (folder / "whole").write_bytes(b"older")
    FILES.rename(folder / "unfinished", folder / "whole")
    FILES.force_out_folder(folder)

    assert [folder / "whole"] == list(folder.iterdir())
    assert b"content" == (folder / "whole").read_bytes()

    FILES.unlink(folder / "whole")
    FILES.unlink(folder / "whole")

    assert [] == list(folder.iterdir())


class Noted(FileSystem):
    """Notes the order of what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def rename(self, old: Path, new: Path) -> None:
        self.asked.append("rename")
        super().rename(old, new)

    def force_out_folder(self, folder: Path) -> None:
        self.asked.append("force_out_folder")
        super().force_out_folder(folder)


def test_rooms_change_files_through_the_file_system_they_are_given(tmp_path: Path) -> None:
    """A payload's name is forced out after it has been given, in each folder that leads to it."""
    noted = Noted()
    files = PayloadFiles(tmp_path / "payloads", noted)
    digest = files.put(b"{}")

    assert ["rename", *["force_out_folder"] * 4] == noted.asked
    assert b"{}" == files.get(digest)
