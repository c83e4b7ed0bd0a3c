"""What the manifests of a folder of sets list, and who belongs to which split."""

import csv
import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

KEY = b"a secret of the benchmark"
MODALITIES = {
    code: modality
    for modality, codes in {
        "CT": ("CT",),
        "MR": ("MR", "MRI"),
        "PET": ("PT", "PET", "NM"),
        "XR": ("XR", "CR", "DX", "RF", "MG", "XA", "IO", "PX"),
        "US": ("US", "IVUS"),
    }.items()
    for code in codes
}
SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a manifest."""

    source: str
    path: Path
    mask: Path | None
    modality: str | None
    patient: str | None
    group: str | None
    label: str | None
    split: str | None


def read(data: Path) -> list[Item]:
    """The files of all sets, in order. A folder that has a manifest itself is one set."""
    sets = [data] if (data / "MANIFEST.csv").is_file() else sorted(data.iterdir())
    return [item for folder in sets if (folder / "MANIFEST.csv").is_file() for item in _read_set(folder)]


def _read_set(folder: Path) -> list[Item]:
    with (folder / "MANIFEST.csv").open(newline="") as file:
        return [
            Item(
                source=folder.name,
                path=folder / row["file"],
                mask=folder / row["mask_file"] if row.get("mask_file") else None,
                modality=MODALITIES.get(row.get("modality") or ""),
                patient=row.get("patient_id") or None,
                group=row.get("group_id") or None,
                label=row.get("label") or None,
                split=row.get("split") or None,
            )
            for row in csv.DictReader(file)
        ]


class Groups:
    """Keeps whoever belongs together in one split: that which most lines of the manifests name, else one by hash."""

    def __init__(self, items: list[Item]) -> None:
        votes: dict[str, Counter[str]] = {}
        for item in items:
            if item.split:
                votes.setdefault(self._name(item, None), Counter())[item.split] += 1
        self._splits = {name: max(SPLITS, key=lambda split: counts[split]) for name, counts in votes.items()}

    def assign(self, item: Item, patient: str | None) -> tuple[str, str] | None:
        """Pseudonym and split of a file whose header names this patient; none where its group is in another split."""
        name = self._name(item, patient)
        pseudonym = hashlib.blake2b(name.encode(), key=KEY, digest_size=16).hexdigest()
        place = int(pseudonym[:8], 16) * 10 >> 32
        hashed = "train" if place < 8 else SPLITS[place - 7]
        split = self._splits.setdefault(name, item.split or hashed)
        return None if item.split and item.split != split else (pseudonym, split)

    @staticmethod
    def _name(item: Item, patient: str | None) -> str:
        if patient := item.patient or patient:
            return f"patient {patient}"
        return f"group {item.source} {item.group}" if item.group else f"file {item.path}"
