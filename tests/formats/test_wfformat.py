"""WfFormat in and out: every version gives the same graph, what is written is read back, bad documents are named."""

import gzip
import json
import math
import re
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagnb.errors import FormatError
from dagnb.formats.wfformat import dumps, read, write
from dagnb.graph.graph import TaskGraph
from dagnb.planning.cluster import Cluster
from dagnb.planning.estimator import estimate
from dagnb.planning.planner import find_planner, run_planner
from dagnb.testing import sample_graphs
from tests.formats import samples


def edges(graph):
    return {key: {graph.keys[d] for d in graph.dependencies(i)} for i, key in enumerate(graph.keys)}


def sizes(graph):
    return dict(zip(graph.keys, graph.size.tolist(), strict=True))


def kinds(graph):
    return {key: graph.kinds[k] for key, k in zip(graph.keys, graph.kind.tolist(), strict=True)}


def same(a, b):
    """Whether two graphs are equal in all that WfFormat carries."""
    return (
        (a.name, a.keys, kinds(a)) == (b.name, b.keys, kinds(b))
        and np.array_equal(a.dep_start, b.dep_start)
        and np.array_equal(a.deps, b.deps)
        and np.array_equal(a.duration, b.duration, equal_nan=True)
        and np.array_equal(np.round(a.size), b.size, equal_nan=True)
    )


# ---- reading ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("version", samples.VERSIONS)
def test_every_version_gives_the_same_graph(version):
    graph = read(samples.text(version))
    assert graph.name == "small"
    assert edges(graph) == {task: set(needed) for task, needed in samples.PARENTS.items()}
    assert dict(zip(graph.keys, graph.duration.tolist(), strict=True)) == samples.RUNTIME
    assert kinds(graph) == dict(zip(samples.PARENTS, ("cut", "fit", "fit", "plot", "alone"), strict=True))
    found = sizes(graph)
    assert math.isnan(found.pop("alone_ID05")), "it has no files: nobody knows"
    assert found == {"cut_ID01": (100 + 400) / 2, "fit_ID02": 40, "fit_ID03": 40, "plot_ID04": 900}
    assert graph.calls is None


def test_the_order_is_that_of_the_document_where_it_can_be():
    document = samples.document("1.4")
    assert list(read(json.dumps(document)).keys) == list(samples.PARENTS)
    document["workflow"]["tasks"].reverse()
    assert list(read(json.dumps(document)).keys) == ["alone_ID05", "cut_ID01", "fit_ID03", "fit_ID02", "plot_ID04"]


def test_from_a_file_plain_or_compressed(tmp_path):
    (tmp_path / "x.json").write_text(samples.text())
    (tmp_path / "x.json.gz").write_bytes(gzip.compress(samples.text().encode()))
    (tmp_path / "bom.json").write_text("\ufeff" + samples.text())
    plain = read(tmp_path / "x.json")
    assert same(plain, read(str(tmp_path / "x.json.gz")))
    assert same(plain, read(tmp_path / "bom.json"))
    assert read(tmp_path / "x.json", name="mine").name == "mine"


@pytest.mark.parametrize(
    ("program", "name", "kind"),
    [
        ("mProject", "mProject_ID0000042", "mProject"),
        ("/opt/bin/blastall", "x_1", "blastall"),
        ("bowtie2-build", "y", "bowtie2-build"),
        ("samtools \\\n index a.bam", "NF.SAMTOOLS_INDEX", "NF.SAMTOOLS_INDEX"),
        ("-", "curl_7", "curl"),
        ("", "fasterq_dump_ID000003", "fasterq_dump"),
        (None, "fit_2", "fit"),
        (["a", "list"], "fit_2", "fit"),
        ("bash", "stage_in_12", "stage_in"),
        ("python3", "_7", "_7"),
    ],
)
def test_the_kind_is_the_program_if_it_is_a_plain_word(program, name, kind):
    document = samples.document()
    document["workflow"]["specification"]["tasks"][0]["name"] = name
    document["workflow"]["execution"]["tasks"][-1]["command"] = {"program": program}
    graph = read(json.dumps(document))
    assert kinds(graph)[name] == kind


def test_names_that_repeat_give_way_to_ids():
    document = samples.document()
    for task in document["workflow"]["specification"]["tasks"]:
        task["name"] = "PROCESS"
    assert set(read(json.dumps(document)).keys) == set(samples.PARENTS)


@pytest.mark.parametrize("side", ["parents", "children"])
def test_one_side_of_an_edge_is_enough(side):
    document = samples.document()
    for task in document["workflow"]["specification"]["tasks"]:
        task[side] = []
    assert edges(read(json.dumps(document))) == edges(read(samples.text()))


def test_edges_come_from_files_where_nothing_else_names_them():
    document = samples.document()
    for task in document["workflow"]["specification"]["tasks"]:
        task["parents"], task["children"] = [], None
    assert edges(read(json.dumps(document))) == edges(read(samples.text()))


def test_parents_of_old_versions_may_be_named_by_name_or_id():
    document = samples.document("1.4")
    document["workflow"]["tasks"][3]["parents"] = ["ID02", "fit_ID03"]
    assert edges(read(json.dumps(document))) == edges(read(samples.text()))


def test_equal_names_of_old_versions_are_told_apart_by_id():
    document = samples.document("1.4")
    tasks = document["workflow"]["tasks"]
    for task in tasks:
        task["name"] = task["name"].partition("_")[0]
    for task, needed in zip(tasks, ([], ["cut"], ["ID01"], ["fit_ID02", "ID03"], []), strict=True):
        task["parents"] = needed
    graph = read(json.dumps(document))
    assert graph.keys == ("cut_ID01", "fit_ID02", "fit_ID03", "plot_ID04", "alone_ID05")
    assert edges(graph) == edges(read(samples.text()))


def test_a_control_dependency_carries_no_bytes_and_unknown_sizes_stay_unknown():
    document = samples.document()
    specification = document["workflow"]["specification"]
    by_id = {task["id"]: task for task in specification["tasks"]}
    by_id["plot_ID04"]["inputFiles"] = ["p.fit"]
    by_id["fit_ID02"]["inputFiles"] = ["b.dat"]
    specification["files"] = [file for file in specification["files"] if file["id"] not in {"b.dat", "p.fit"}]
    found = sizes(read(json.dumps(document)))
    assert found["fit_ID03"] == 0, "plot waits for it and reads nothing of it"
    assert math.isnan(found["fit_ID02"]), "plot reads a file whose size nobody knows"
    assert found["cut_ID01"] == 100, "what is known of what its readers read"


def test_what_was_not_measured_is_not_known():
    document = samples.document()
    del document["workflow"]["execution"]["tasks"][1]
    document["workflow"]["execution"]["tasks"] += [
        {"id": "stage_out", "runtimeInSeconds": 9},
        {"id": "cut_ID01", "runtimeInSeconds": 2.5},
    ]
    graph = read(json.dumps(document))
    assert math.isnan(graph.duration[graph.index["fit_ID02"]])
    assert graph.duration[graph.index["cut_ID01"]] == 2.5, "the last of two tries"
    assert "stage_out" not in graph.index
    del document["workflow"]["execution"]
    assert np.isnan(read(json.dumps(document)).duration).all()


# ---- what is refused -------------------------------------------------------------------------------------------------
def broken(change, version="1.5"):
    document = samples.document(version)
    change(document)
    return json.dumps(document)


def task(document, number=0):
    return document["workflow"]["specification"]["tasks"][number]


def ran(document, number=0):
    return document["workflow"]["execution"]["tasks"][number]


BAD = {
    "no JSON": ('{"name": ', r"the text is not JSON: .*\n  at line 1, column \d+\n  Is the file whole\?"),
    "a list": ("[1, 2]", r"the text: \[1, 2\] stands where an object"),
    "other JSON": ('{"cells": [], "nbformat": 4}', r"'schemaVersion' is missing.\n  Here stand: cells, nbformat"),
    "deep": ("[" * 100_000, r"the text cannot be read as JSON|not JSON"),
    "no workflow": ('{"schemaVersion": "1.5"}', r"'workflow' is missing"),
    "version": (broken(lambda d: d.update(schemaVersion="1.0")), r"WfFormat 1.0 is not read here.\n  at schemaVersion"),
    "version 2": (broken(lambda d: d.update(schemaVersion=[2])), r"WfFormat \[2\] is not read here"),
    "no name": (broken(lambda d: d.pop("name")), r"'name' is missing"),
    "no tasks": (
        broken(lambda d: d["workflow"]["specification"].pop("tasks")),
        r"'tasks' is missing.\n  at workflow.s",
    ),
    "empty": (broken(lambda d: d["workflow"]["specification"].update(tasks=[])), r"there are no tasks"),
    "tasks of another type": (
        broken(lambda d: d["workflow"]["specification"].update(tasks="all")),
        r"'all' stands where a list is needed.\n  at workflow.specification.tasks",
    ),
    "a task that is none": (
        broken(lambda d: d["workflow"]["specification"]["tasks"].append(7)),
        r"7 stands where an object .*\n  at workflow.specification.tasks\[5\]",
    ),
    "no id": (broken(lambda d: task(d).pop("id")), r"'id' is missing.\n  at workflow.specification.tasks\[0\]"),
    "an empty name": (broken(lambda d: task(d).update(name="")), r"'' stands where a text"),
    "twice": (
        broken(lambda d: task(d, 1).update(id="alone_ID05")),
        r"the task 'alone_ID05' is there twice, first at workflow.specification.tasks\[0\]",
    ),
    "twice in 1.4": (
        broken(lambda d: d["workflow"]["tasks"].append(d["workflow"]["tasks"][0]), "1.4"),
        r"'cut_ID01' is there twice",
    ),
    "unknown parent": (
        broken(lambda d: task(d, 2)["parents"].append("cut_ID11")),
        r"no task 'cut_ID11'.\n  at workflow.specification.tasks\[2\].parents\[1\]\n  did you mean cut_ID01",
    ),
    "unknown child": (broken(lambda d: task(d)["children"].append("x")), r"no task 'x'.\n  at .*children\[0\]"),
    "ambiguous parent": (
        broken(lambda d: [t.update(name="same") for t in d["workflow"]["tasks"]], "1.4"),
        r"there is no task 'cut_ID01'",
    ),
    "a parent that is a number": (
        broken(lambda d: task(d).update(parents=[3])),
        r"3 stands where a text .*\n  at .*\[0\]",
    ),
    "circle": (
        broken(lambda d: task(d, 4)["parents"].append("plot_ID04")),
        r"in a circle: \w+ → \w+ → \w+ → \w+\n  at workflow",
    ),
    "itself": (broken(lambda d: task(d)["parents"].append("alone_ID05")), r"in a circle: alone_ID05 → alone_ID05"),
    "negative runtime": (
        broken(lambda d: ran(d, 2).update(runtimeInSeconds=-3)),
        r"-3 seconds cannot be.\n  at workflow.execution.tasks\[2\].runtimeInSeconds",
    ),
    "endless runtime": (
        samples.text().replace('"runtimeInSeconds": 1.5', '"runtimeInSeconds": 1e999'),
        r"inf seconds cannot be",
    ),
    "NaN": (broken(lambda d: ran(d).update(runtimeInSeconds=math.nan)), r"NaN is not a number that JSON knows"),
    "a runtime in words": (broken(lambda d: ran(d).update(runtimeInSeconds="3 s")), r"'3 s' stands where a number"),
    "a runtime that is true": (broken(lambda d: ran(d).update(runtimeInSeconds=True)), r"True stands where a number"),
    "a negative size": (
        broken(lambda d: d["workflow"]["specification"]["files"][1].update(sizeInBytes=-1)),
        r"-1 bytes cannot be.\n  at workflow.specification.files\[1\].sizeInBytes",
    ),
    "no link": (broken(lambda d: d["workflow"]["tasks"][0]["files"][0].pop("link"), "1.3"), r"'link' is missing"),
    "files that are none": (broken(lambda d: d["workflow"]["tasks"][0].update(files={}), "1.4"), r"where a list is"),
    "a huge number": ('{"schemaVersion": ' + "9" * 5000 + "}", r"cannot be read as JSON|is not read here"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_documents_are_named(case):
    text, message = BAD[case]
    with pytest.raises(FormatError, match=message) as caught:
        read(text)
    assert len(str(caught.value).splitlines()) in {2, 3}


def test_bad_files_are_named(tmp_path):
    with pytest.raises(FormatError, match=r"nothing.json cannot be read: No such file"):
        read(tmp_path / "nothing.json")
    with pytest.raises(FormatError, match="cannot be read: Is a directory"):
        read(tmp_path)
    whole = gzip.compress(samples.text().encode())
    for name, data in {"cut": whole[:-20], "bad": whole[:30] + b"\0" * 50 + whole[80:], "head": b"\x1f\x8b"}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(FormatError, match=name):
            read(tmp_path / name)
    (tmp_path / "latin").write_bytes(b'{"name": "\xe9"}')
    with pytest.raises(FormatError, match="latin is not a text in UTF-8"):
        read(tmp_path / "latin")
    with pytest.raises(FormatError, match="is not a path"):
        read("a\0b")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.sampled_from([*samples.PARENTS, "input", "", "1.4"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "name", "x"]), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(max_examples=150)
@given(st.sampled_from(sorted(samples.VERSIONS)), st.data())
def test_a_document_with_anything_anywhere_is_read_or_refused_by_name(version, data):
    document = samples.document(version)
    at = document
    while True:
        key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        if not isinstance(at[key], dict | list) or not at[key] or data.draw(st.booleans()):
            break
        at = at[key]
    at[key] = data.draw(JSON)
    try:
        graph = read(json.dumps(document))
    except FormatError:
        return
    assert len(graph) >= 1


# ---- writing ---------------------------------------------------------------------------------------------------------
@st.composite
def graphs(draw):
    """Any graph: names of any characters, durations and sizes known or not."""
    n = draw(st.integers(1, 12))
    some = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
    keys = draw(st.lists(some, min_size=n, max_size=n, unique=True))
    kind = draw(st.lists(some, min_size=n, max_size=n))
    deps = [draw(st.lists(st.integers(0, i - 1), unique=True, max_size=3)) if i else [] for i in range(n)]
    seconds = st.just(math.nan) | st.floats(0, 1e9) | st.just(0.0)
    size = st.just(math.nan) | st.integers(0, 2**50).map(float)
    return TaskGraph.build(
        draw(some),
        deps,
        keys=keys,
        kind=kind,
        duration=np.array([draw(seconds) for _ in range(n)]),
        size=np.array([draw(size) for _ in range(n)]),
    )


@given(graphs())
def test_what_is_written_is_read_back(graph):
    text = dumps(graph)
    check_schema(json.loads(text))
    assert same(graph, read(text))


@pytest.mark.parametrize("name", [name for name in sample_graphs() if name != "empty"])
def test_every_structure_survives(name):
    graph = sample_graphs()[name]
    assert same(graph, read(dumps(graph)))


@pytest.mark.parametrize("version", samples.VERSIONS)
def test_reading_and_writing_again_changes_nothing(version):
    graph = read(samples.text(version))
    assert same(graph, read(dumps(graph)))


ID = re.compile(r"^[0-9a-zA-Z-_.#]*$")
FILE = re.compile(r"^[0-9a-zA-Z-_./:#]*$")


def check_schema(document):
    """What the schema of version 1.5 asks: members, their types, the characters of ids."""
    assert document["schemaVersion"] == "1.5"
    assert document["name"]
    datetime.fromisoformat(document["createdAt"])
    workflow = document["workflow"]
    tasks = workflow["specification"]["tasks"]
    assert tasks
    for one in tasks:
        assert one["name"]
        assert one["id"]
        assert all(ID.match(i) for i in (one["id"], *one["parents"], *one["children"]))
        assert all(f and FILE.match(f) for f in (*one["inputFiles"], *one["outputFiles"]))
    for file in workflow["specification"]["files"]:
        assert FILE.match(file["id"])
        assert type(file["sizeInBytes"]) is int
        assert file["sizeInBytes"] >= 0
    assert len({one["id"] for one in tasks}) == len(tasks)
    if "execution" in workflow:
        execution = workflow["execution"]
        assert isinstance(execution["makespanInSeconds"], float)
        datetime.fromisoformat(execution["executedAt"])
        assert execution["tasks"]
        for one in execution["tasks"]:
            assert one["command"]["program"]
            assert isinstance(one["runtimeInSeconds"], float)
        assert "machines" not in execution or execution["machines"]


def test_a_run_is_written_as_it_was_measured(tmp_path):
    graph = sample_graphs()["layered"]
    cluster = Cluster.local(3, bandwidth=1e7, startup=0.5)
    timeline = run_planner(find_planner("heft"), graph, cluster, estimate(graph)).timeline
    began = datetime(2026, 3, 1, 12, tzinfo=UTC)
    path = write(graph, tmp_path / "run.json.gz", timeline, began=began)
    document = json.loads(gzip.decompress(path.read_bytes()))
    check_schema(document)
    execution = document["workflow"]["execution"]
    assert {machine["nodeName"] for machine in execution["machines"]} == {"w0", "w1", "w2"}
    assert execution["makespanInSeconds"] == timeline.makespan
    first = execution["tasks"][0]
    assert first["machines"] == [f"w{timeline.worker[0]}"]
    assert (datetime.fromisoformat(first["executedAt"]) - began).total_seconds() == pytest.approx(timeline.start[0])
    again = read(path)
    assert again.duration.tolist() == pytest.approx(graph.duration.tolist()), "without the time for fetching"
    assert same(read(dumps(again)), again)


def test_tasks_that_did_not_run_keep_what_was_declared():
    graph = TaskGraph.build("two", [[], [0]], duration=np.array([1.0, 2.0]))
    timeline = run_planner(find_planner("heft"), graph, Cluster.local(1), estimate(graph)).timeline
    timeline.state[1] = timeline[0].state.FAILED
    timeline.end[0] = 9.0
    assert read(dumps(graph, timeline)).duration.tolist() == [9.0, 2.0]


def test_a_value_that_nobody_weighed_has_the_declared_size():
    graph = TaskGraph.build("two", [[], [0]], duration=np.ones(2), size=np.array([5.0, np.nan]))
    timeline = run_planner(find_planner("heft"), graph, Cluster.local(1), estimate(graph)).timeline
    timeline.size[:] = 0
    assert np.array_equal(read(dumps(graph, timeline)).size, [5.0, np.nan], equal_nan=True)
    timeline.size[:] = 7
    assert read(dumps(graph, timeline)).size.tolist() == [7, 7]


def test_what_cannot_be_written_is_named():
    with pytest.raises(FormatError, match="nothing has no tasks"):
        dumps(TaskGraph.build("nothing", []))
    with pytest.raises(FormatError, match="infinite"):
        dumps(TaskGraph.build("long", [[]], duration=np.array([np.inf])))
    with pytest.raises(FormatError, match="infinite"):
        dumps(TaskGraph.build("large", [[]], size=np.array([np.inf])))
    graph = TaskGraph.build("one", [[]])
    two = TaskGraph.build("two", [[], []])
    other = run_planner(find_planner("heft"), two, Cluster.local(1), estimate(two)).timeline
    with pytest.raises(FormatError, match="the run has 2 tasks, one has 1"):
        dumps(graph, other)


def test_instances_of_wfcommons_are_read(tmp_path):
    recipes = pytest.importorskip("wfcommons.wfchef.recipes", reason="wfcommons is not installed")
    from wfcommons import WorkflowGenerator

    workflow = WorkflowGenerator(recipes.MontageRecipe.from_num_tasks(100)).build_workflow()
    workflow.write_json(tmp_path / "montage.json")
    graph = read(tmp_path / "montage.json")
    assert len(graph) == len(workflow.nodes)
    assert len(graph.deps) == len(workflow.edges)
