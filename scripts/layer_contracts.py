"""Two import-linter contracts of ours: a service is entered through its door, and its edges use that door too."""

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

_DEEP = 4
"""Parts of the name of a module inside a service: carillon.cluster.service.module."""


class FacadeContract(Contract):
    """Another service may import `api`, `contracts` and `errors` of a service, and nothing else of it."""

    type_name = "facade"
    root = fields.StringField()
    composition_root = fields.StringField()
    clusters = fields.ListField(subfield=fields.StringField())
    public = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002
        """See `importlinter.Contract.check`."""
        broken = [
            f"{importer} -> {imported}"
            for importer in sorted(graph.modules)
            if not importer.startswith(self.composition_root)
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if self._enters(importer, imported)
        ]
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def _enters(self, importer: str, imported: str) -> bool:
        parts = imported.split(".")
        if len(parts) < _DEEP or parts[0] != self.root or parts[1] not in self.clusters or parts[2] == "connectors":
            return False
        return importer.split(".")[:3] != parts[:3] and parts[3] not in self.public

    def render_broken_contract(self, check: ContractCheck) -> None:
        """See `importlinter.Contract.render_broken_contract`."""
        for line in check.metadata["broken"]:
            output.print_error(line)


class ThinEdgeContract(Contract):
    """Endpoints, jobs and consumers reach their own service through its facade only."""

    type_name = "thin_edge"
    root = fields.StringField()
    clusters = fields.ListField(subfield=fields.StringField())
    edges = fields.ListField(subfield=fields.StringField())
    reachable = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002
        """See `importlinter.Contract.check`."""
        broken = [
            f"{importer} -> {imported}"
            for importer in sorted(graph.modules)
            if self._is_edge(importer)
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if self._goes_round(importer, imported)
        ]
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def _is_edge(self, importer: str) -> bool:
        parts = importer.split(".")
        return len(parts) >= _DEEP and parts[0] == self.root and parts[1] in self.clusters and parts[3] in self.edges

    def _goes_round(self, importer: str, imported: str) -> bool:
        target, own = imported.split("."), importer.split(".")
        return target[:3] == own[:3] and bool(target[3:4]) and target[3] not in (*self.reachable, own[3])

    def render_broken_contract(self, check: ContractCheck) -> None:
        """See `importlinter.Contract.render_broken_contract`."""
        for line in check.metadata["broken"]:
            output.print_error(line)
