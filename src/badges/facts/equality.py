"""Which columns of the tables that a query reads equal the user's column of the changed row. Pure.

PostgreSQL's own record of a view's query says so (`pg_rewrite.ev_action`, written by `outfuncs.c`). Of a row whose
column must equal the user for the row to count, only changes for that user matter; so only such a table can be watched.
What is not understood here counts as unequal: the plan then says that changes there are not noticed.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Node = dict[str, Any]
Place = tuple[int, int, int]
"""A query by its number, an entry of its range table, and a column."""

_WORD = re.compile(r"[{}()]|(?:\\.|[^\s(){}\\])+")
_NOISE = re.compile(r" :(?:location|stmt_len|stmt_location) -?\d+| :constvalue \d+ \[[^\]]*\]")

_SAME = re.compile(
    r"\{OPEXPR :opno (\d+) [^{}()]*:args \("
    r"((?:\{RELABELTYPE :arg )?\{VAR [^{}]*:varlevelsup 0 [^{}]*\}(?: [^{}]*\})?) \2\)"
)
"""An operator between two readings of one column of the query's own tables."""

_RELATION, _SUBQUERY, _JOIN, _CTE, _GROUP = "0", "1", "2", "6", "9"
"""Values of RTEKind."""

_INNER, _LEFT, _RIGHT = "0", "1", "3"
"""Values of JoinType."""

_ANY = "2"
"""The value of SubLinkType of `x IN (SELECT ...)`."""

_CASTS = ("1", "2")
"""The values of CoercionForm of casts, written or implied."""


END_OF_PATH = 0
"""In the place of a column's number: the user at the end of the path from the row."""


@dataclasses.dataclass(frozen=True, slots=True)
class Link:
    """A foreign key on the path to the user."""

    relation: int
    column: int
    referenced: int
    key: int
    following: int
    """The column there by which the path leads further: a foreign key, or last the column that holds the user."""


def columns_of_user(
    tree: str, rows: Mapping[int, int], operators: frozenset[int], path: tuple[Link, ...] = ()
) -> dict[int, tuple[frozenset[int], bool]]:
    """The columns that equal the user's column wherever the query reads the table.

    :param tree: the query of a view, as `pg_rewrite.ev_action` gives it as text.
    :param rows: the relations that stand for the changed row, by oid, with the number of the user's column.
    :param operators: the oids of the operators called `=`.
    :param path: the foreign keys of a path to the user.
    :returns: by the oid of each relation that the query reads, the numbers of the columns, END_OF_PATH among them; and
        whether its rows serve only to follow the path from rows of another relation.
    """
    return dict(_solve(_NOISE.sub("", tree), tuple(rows.items()), operators, path))


def compares_with_itself(tree: str, operators: frozenset[int]) -> bool:
    """Whether a query says that a column equals itself, as where `NEW.` is missing on one side.

    :param tree: as for `columns_of_user`, and `operators` too. The changed row is not among its own level's tables.
    """
    return any(int(found[1]) in operators for found in _SAME.finditer(_NOISE.sub("", tree)))


@functools.lru_cache(maxsize=256)
def _solve(
    tree: str, rows: tuple[tuple[int, int], ...], operators: frozenset[int], path: tuple[Link, ...]
) -> tuple[tuple[int, tuple[frozenset[int], bool]], ...]:
    return tuple(_Reading(_parse(tree), dict(rows), operators, path).found())


def _parse(tree: str) -> Any:
    """Nodes as dicts, whose key "" is their type; lists as lists; all else as strings."""
    stack: list[tuple[Any, str]] = []
    here: Any = []
    field = ""
    for match in _WORD.finditer(tree):
        text = match[0]
        if text == "{":
            stack.append((here, field))
            here, field = {}, ""
        elif text == "(":
            stack.append((here, field))
            here, field = [], ""
        elif text in "})":
            value = here
            here, field = stack.pop()
            _add(here, field, value)
        elif isinstance(here, dict) and text.startswith(":"):
            field = text[1:]
            here.setdefault(field, None)
        else:
            _add(here, field, text)
    return here


def _add(here: Any, field: str, value: Any) -> None:
    if isinstance(here, list):
        here.append(value)
    elif here.get(field) is None:
        here[field] = value


@dataclasses.dataclass(eq=False)
class _Query:
    """A query, and those that it is within, from the innermost one."""

    number: int
    node: Node
    outer: tuple[_Query, ...]

    @property
    def scopes(self) -> tuple[_Query, ...]:
        return (self, *self.outer)

    @property
    def entries(self) -> list[Node]:
        return _listed(self.node["rtable"])

    @property
    def targets(self) -> list[Node]:
        return _listed(self.node["targetList"])

    def target(self, number: int) -> Node | None:
        return next((each for each in self.targets if each["resno"] == str(number)), None)

    def passes_down(self, target: Node) -> bool:
        """Only rows in which a column has a value decide which rows of the result have that value there."""
        node = self.node
        if node.get("limitCount") != "<>" or node.get("limitOffset") != "<>" or node.get("hasWindowFuncs") == "true":
            return False
        groups = [each["tleSortGroupRef"] for each in _listed(node["groupClause"])]
        if node.get("groupingSets") != "<>" or node.get("hasDistinctOn") == "true":
            return False
        return target["ressortgroupref"] in groups or not (groups or node.get("hasAggs") == "true")


class _Reading:
    """The equalities of all queries, followed from the user's column of the changed row."""

    def __init__(self, tree: Any, rows: Mapping[int, int], operators: frozenset[int], path: tuple[Link, ...]) -> None:
        self.rows = rows
        self.path = path
        self.operators = {str(oid) for oid in operators}
        self.queries: list[_Query] = []
        self.known: set[Place] = set()
        self.implied: list[tuple[Place, Place]] = []
        """Where the first is the user, so is the second."""
        self.alike: list[tuple[Place, list[Place]]] = []
        """Where all of the second are the user, so is the first."""
        self.read: list[tuple[_Query, int]] = []
        self._inner: dict[int, _Query] = {}
        self._visit(tree, ())
        for query in self.queries:
            self._join(query)
        self._follow()
        self.ways: set[tuple[int, int]] = set()
        """The entries that serve only to follow the path."""
        for link in reversed(path):
            self._follow_link(link)

    def found(self) -> Iterator[tuple[int, tuple[frozenset[int], bool]]]:
        by_relation: dict[int, list[tuple[frozenset[int], bool]]] = {}
        for relation, place in self._relations():
            known = frozenset(column for *of, column in self.known if (*of,) == place)
            by_relation.setdefault(relation, []).append((known, place in self.ways))
        for relation, entries in by_relation.items():
            is_way = all(leads_on for _, leads_on in entries)
            # Where a path leads over its own table, the rows on the way are no concern of those at its start.
            columns = [known for known, leads_on in entries if is_way or not leads_on]
            yield relation, (frozenset.intersection(*columns), is_way)

    def _relations(self) -> Iterator[tuple[int, tuple[int, int]]]:
        """The relations that are read, beside the changed row, each with its query and entry."""
        for query, index in self.read:
            entry = query.entries[index - 1]
            if entry.get("rtekind") == _RELATION and int(entry["relid"]) not in self.rows:
                yield int(entry["relid"]), (query.number, index)

    def _follow_link(self, link: Link) -> None:
        """Find the entries of which only rows matter that refer to a row of the user."""
        is_last = link is self.path[-1]
        for referenced, there in self._relations():
            if referenced != link.referenced or (*there, link.following if is_last else END_OF_PATH) not in self.known:
                continue
            equal = self._equal_to((*there, link.key))
            for relation, here in self._relations():
                if relation == link.relation and (*here, link.column) in equal:
                    self.known.add((*here, END_OF_PATH))
                    leads_back = (*there, link.key) in self._equal_to((*here, link.column))
                    if leads_back and self._used(there) <= {link.key, link.following}:
                        self.ways.add(there)

    def _used(self, place: tuple[int, int]) -> set[int]:
        """The numbers of the columns of an entry that the queries read; 0 for whole rows."""
        return {column for query in self.queries for *of, column in self._columns(query, query.node) if (*of,) == place}

    def _columns(self, query: _Query, node: Any) -> Iterator[Place]:
        """The columns that a node reads, without those of the queries within it."""
        if isinstance(node, list):
            for each in node:
                yield from self._columns(query, each)
        elif isinstance(node, dict) and node[""] == "VAR":
            scope = query.scopes[int(node["varlevelsup"])]
            index, column = int(node["varno"]), int(node["varattno"])
            entry = scope.entries[index - 1] if 0 < index <= len(scope.entries) else {}
            behind = {_JOIN: entry.get("joinaliasvars"), _GROUP: entry.get("groupexprs")}.get(entry.get("rtekind", ""))
            if isinstance(behind, list):
                yield from self._columns(scope, behind[column - 1 : column] if column > 0 else behind)
            else:
                yield scope.number, index, column
        elif isinstance(node, dict) and not (node[""] == "QUERY" and node is not query.node):
            for field, each in node.items():
                # An entry of the range table lists what it could give.
                if isinstance(each, dict | list) and field not in ("joinaliasvars", "groupexprs"):
                    yield from self._columns(query, each)

    def _equal_to(self, place: Place) -> set[Place]:
        """The columns that have the same value as this one wherever their rows matter."""
        found, left = {place}, [place]
        while left:
            here = left.pop()
            new = {second for first, second in self.implied if first == here} - found
            found |= new
            left += new
        return found

    def _visit(self, node: Any, outer: tuple[_Query, ...]) -> None:
        """Find the queries within a node."""
        if isinstance(node, list):
            for each in node:
                self._visit(each, outer)
        elif isinstance(node, dict):
            if node[""] == "QUERY":
                query = _Query(len(self.queries), node, outer)
                self.queries.append(query)
                self._inner[id(node)] = query
                outer = query.scopes
            for each in node.values():
                if isinstance(each, dict | list):
                    self._visit(each, outer)

    def _join(self, query: _Query) -> None:
        """Collect what the FROM and WHERE clauses of a query say."""
        tree = query.node.get("jointree")
        if isinstance(tree, dict):
            inside = self._read_from(query, tree)
            self.read += [(query, index) for index in inside]
            for index in inside:
                self._look_into(query, index)
        # Wherever it stands, of x IN (SELECT y ...) only the rows with y = x matter.
        for link in self._links(query.node):
            self._equate_link(query, link, frozenset())

    def _read_from(self, query: _Query, node: Node) -> frozenset[int]:
        """The entries of the range table below a node of the FROM clause, whose equalities are collected."""
        match node[""]:
            case "RANGETBLREF":
                return frozenset({int(node["rtindex"])})
            case "FROMEXPR":
                inside = frozenset[int]().union(*(self._read_from(query, each) for each in _listed(node["fromlist"])))
                restricted = inside
            case "JOINEXPR":
                left, right = self._read_from(query, node["larg"]), self._read_from(query, node["rarg"])
                inside = left | right
                restricted = {_INNER: inside, _LEFT: right, _RIGHT: left}.get(node["jointype"], frozenset())
            case _:
                return frozenset()
        for condition in _conjuncts(node.get("quals")):
            self._equate(query, condition, restricted)
        return inside

    def _equate(self, query: _Query, condition: Any, restricted: frozenset[int]) -> None:
        if not isinstance(condition, dict):
            return
        arguments = _listed(condition.get("args"))
        match condition[""]:
            case "OPEXPR" if condition["opno"] in self.operators:
                self._add(query, arguments[0], arguments[1], restricted)
            case "SCALARARRAYOPEXPR" if condition["opno"] in self.operators and condition["useOr"] == "true":
                elements = arguments[1].get("elements") if isinstance(arguments[1], dict) else None
                if isinstance(elements, list) and len(elements) == 1:
                    self._add(query, arguments[0], elements[0], restricted)
            case "BOOLEXPR" if condition.get("boolop") == "not":
                inner = arguments[0]
                if isinstance(inner, dict) and inner[""] == "DISTINCTEXPR" and inner["opno"] in self.operators:
                    self._add(query, inner["args"][0], inner["args"][1], restricted)
            case "SUBLINK":
                self._equate_link(query, condition, restricted)

    def _add(self, query: _Query, one: Any, other: Any, restricted: frozenset[int]) -> None:
        left, right = self._place(query, one), self._place(query, other)
        if left and right:
            for first, second in ((left, right), (right, left)):
                if second[0] == query.number and second[1] in restricted:
                    self.implied.append((first, second))

    def _equate_link(self, query: _Query, link: Node, restricted: frozenset[int]) -> None:
        """`x IN (SELECT y ...)`: where x is the user, so is y, and the reverse if only such rows count."""
        inner, test = self._inner.get(id(link.get("subselect"))), link.get("testexpr")
        if link.get("subLinkType") != _ANY or inner is None or not isinstance(test, dict) or test[""] != "OPEXPR":
            return
        value, parameter = test["args"]
        if test["opno"] not in self.operators or _bare(parameter).get("") != "PARAM":
            return
        place, target = self._place(query, value), inner.target(int(_bare(parameter)["paramid"]))
        column = self._place(inner, target["expr"]) if target else None
        if place and target and column:
            if inner.passes_down(target) and column[0] == inner.number:
                self.implied.append((place, column))
            if place[0] == query.number and place[1] in restricted:
                self.implied.append((column, place))

    def _look_into(self, query: _Query, index: int) -> None:
        """Link the columns of a subquery in FROM, or of a common table expression, with those that it selects."""
        entry = query.entries[index - 1]
        inner, is_read_once = None, True
        if entry.get("rtekind") == _SUBQUERY:
            inner = self._inner.get(id(entry.get("subquery")))
        elif entry.get("rtekind") == _CTE and entry.get("self_reference") != "true":
            scope = query.scopes[int(entry["ctelevelsup"])]
            named = next((each for each in _listed(scope.node["cteList"]) if each["ctename"] == entry["ctename"]), None)
            if named and named.get("cterecursive") != "true":
                inner, is_read_once = self._inner.get(id(named["ctequery"])), named.get("cterefcount") == "1"
        if inner is None:
            return
        arms = [number for number, each in enumerate(inner.entries, 1) if each.get("rtekind") == _SUBQUERY]
        for target in inner.targets:
            number = int(target["resno"])
            place = (query.number, index, number)
            if inner.node.get("setOperations") != "<>":
                columns = [(inner.number, arm, number) for arm in arms]
                self.alike.append((place, columns))
                if is_read_once and inner.passes_down(target):
                    self.implied += [(place, column) for column in columns]
            elif column := self._place(inner, target["expr"]):
                self.implied.append((column, place))
                if is_read_once and inner.passes_down(target) and column[0] == inner.number:
                    self.implied.append((place, column))
        if inner.node.get("setOperations") != "<>":
            for arm in arms:
                self._look_into(inner, arm)

    def _links(self, node: Any) -> Iterator[Node]:
        """The sublinks of a query, without those of the queries within it."""
        if isinstance(node, list):
            for each in node:
                yield from self._links(each)
        elif isinstance(node, dict):
            if node[""] == "SUBLINK":
                yield node
            for each in node.values():
                if isinstance(each, list) or (isinstance(each, dict) and each[""] != "QUERY"):
                    yield from self._links(each)

    def _place(self, query: _Query, expression: Any) -> Place | None:
        """The column that an expression is, whatever joins, groups and casts are around it."""
        node = _bare(expression)
        if node.get("") != "VAR":
            return None
        scope = query.scopes[int(node["varlevelsup"])]
        index, column = int(node["varno"]), int(node["varattno"])
        if not 0 < index <= len(scope.entries) or column < 1:
            return None
        entry = scope.entries[index - 1]
        behind = {_JOIN: entry.get("joinaliasvars"), _GROUP: entry.get("groupexprs")}.get(entry.get("rtekind", ""))
        if isinstance(behind, list):
            return self._place(scope, behind[column - 1]) if column <= len(behind) else None
        return scope.number, index, column

    def _follow(self) -> None:
        for query, index in self.read:
            entry = query.entries[index - 1]
            if entry.get("rtekind") == _RELATION and int(entry["relid"]) in self.rows:
                self.known.add((query.number, index, self.rows[int(entry["relid"])]))
        before = -1
        while len(self.known) > before:
            before = len(self.known)
            self.known.update(second for first, second in self.implied if first in self.known)
            self.known.update(place for place, columns in self.alike if columns and self.known.issuperset(columns))


def _listed(value: Any) -> list[Any]:
    """The items of a list, which PostgreSQL writes as <> if it is empty."""
    return value if isinstance(value, list) else []


def _conjuncts(condition: Any) -> Iterable[Any]:
    """The conditions that must all be true."""
    if isinstance(condition, list):
        return [each for part in condition for each in _conjuncts(part)]
    if isinstance(condition, dict) and condition[""] == "BOOLEXPR" and condition.get("boolop") == "and":
        return _conjuncts(condition["args"])
    return [condition]


def _bare(expression: Any) -> Node:
    """An expression without the casts around it; empty if it is none."""
    while isinstance(expression, dict):
        if expression[""] in ("RELABELTYPE", "COLLATEEXPR"):
            expression = expression["arg"]
        elif expression[""] == "FUNCEXPR" and expression.get("funcformat") in _CASTS and len(expression["args"]) == 1:
            expression = expression["args"][0]
        else:
            return expression
    return {}
