"""Class schemes: an ordered list of class names and how each source spells them."""

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from xray_chest_detection.errors import DataError

FINDING = "Finding"


class ClassScheme(BaseModel):
    """Ordered class names and a map from every source's labels to them.

    Attributes:
        name: Short name, used in file names.
        classes: Class names; the index is the class id in label files and models.
        sources: Per source (`nih`, `vinbigdata`): label as the source spells it, to a class name, or to None when
            the scheme leaves this label out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    classes: tuple[str, ...]
    sources: dict[str, dict[str, str | None]]

    @model_validator(mode="after")
    def _targets_exist(self) -> Self:
        if len(set(self.classes)) != len(self.classes) or not self.classes:
            raise ValueError(f"classes must be unique and not empty, got {list(self.classes)}")
        for source, labels in self.sources.items():
            for label, target in labels.items():
                if target is not None and target not in self.classes:
                    raise ValueError(f"sources.{source}.{label}: '{target}' is not one of {', '.join(self.classes)}")
        return self

    def class_of(self, label: str, *, source: str | None) -> str | None:
        """The class a source's label stands for, or None when the scheme leaves it out.

        Args:
            label: The label as the source spells it.
            source: The source; None for united tables, whose labels are class names of the scheme already.

        Raises:
            DataError: The source or the label is not in the scheme.
        """
        if source is None:
            return self.classes[self.index_of(label)]
        labels = self.sources.get(source)
        if labels is None:
            raise DataError(f"scheme {self.name}: unknown source '{source}' (known: {', '.join(self.sources)})")
        if label not in labels:
            raise DataError(f"scheme {self.name}: unknown label '{label}' of {source} (known: {', '.join(labels)})")
        return labels[label]

    def known_classes(self, source: str) -> tuple[str, ...]:
        """Classes that images of this source are labelled for; the others are unknown there, not absent."""
        targets = set(self.sources.get(source, {}).values())
        return tuple(name for name in self.classes if name in targets)

    def index_of(self, class_name: str) -> int:
        """The class id of a class name.

        Raises:
            DataError: The class is not in the scheme.
        """
        if class_name not in self.classes:
            raise DataError(f"scheme {self.name}: no class '{class_name}' (known: {', '.join(self.classes)})")
        return self.classes.index(class_name)
