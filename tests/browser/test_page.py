"""The widget on a page of its own: a fake model plays what a real one said; looked at in pixels, keys and frames."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from dagnb.graph.graph import TaskGraph
from tests.browser.recording import SCENES, montage, pipeline, record

#: Pixels of the canvas within 40 of a colour.
COUNT = """([r, g, b]) => {
  const canvas = document.querySelector("canvas.dagnb-canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let n = 0;
  for (let i = 0; i < data.length; i += 4) {
    n += Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 40;
  }
  return n;
}"""
DONE, RUNNING, FAILED = (0, 158, 115), (0, 103, 168), (213, 94, 0)

#: Pan for a while with a patch every 50 ms; frames per second.
PAN = """async (recording) => {
  await play({ ...recording, messages: recording.messages.slice(0, 1) });
  const patches = recording.messages.slice(1);
  const bytes = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  const ready = patches.map(([, content, buffers]) => [content, buffers.map(bytes)]);
  const { scene } = window.view;
  scene.view.open(0);
  await new Promise((done) => setTimeout(done, 500));
  let said = 0, frames = 0;
  const timer = setInterval(() => said < ready.length && window.model.say(...ready[said++]), 50);
  const began = performance.now();
  await new Promise((done) => {
    const frame = (now) => {
      frames++;
      scene.touch(() => scene.view.pan(3 * Math.cos(now / 500), 2 * Math.sin(now / 300)));
      now - began < 2000 ? requestAnimationFrame(frame) : done();
    };
    requestAnimationFrame(frame);
    setTimeout(done, 5000);
  });
  clearInterval(timer);
  return { fps: frames / 2, said, gaps: window.view.connection.gaps };
}"""


def play(page: Page, recording: dict[str, Any], **options: Any) -> float:
    took: float = page.evaluate("([recording, options]) => play(recording, options)", [recording, options])
    page.wait_for_timeout(150)
    return took


def wait_for_ink(page: Page, colour: tuple[int, int, int], pixels: int) -> None:
    """Until so many pixels have the colour; how soon depends on the machine."""
    page.wait_for_function(f"colour => ({COUNT})(colour) > {pixels}", arg=list(colour), timeout=15_000, polling=100)


def state(page: Page, expression: str) -> Any:
    return page.evaluate(f"window.view.{expression}")


def test_a_plan_before_its_run(page, screens):
    play(page, SCENES["plan"]())
    expect(page.locator(".dagnb-head")).to_contain_text("digits · 31 tasks · forecast")
    expect(page.locator(".dagnb-head")).to_contain_text("on 6 workers · best possible")
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Cancel the run")).to_be_hidden()
    page.get_by_role("tab", name="Plan").click()
    expect(page.locator(".dagnb-foot")).to_contain_text("planned by heft")
    page.screenshot(path=screens / "page-plan.png")


def test_a_run_fills_in_and_its_states_have_their_colours(page, screens):
    play(page, SCENES["half"]())
    wait_for_ink(page, DONE, 200)
    wait_for_ink(page, RUNNING, 200)
    assert page.evaluate(COUNT, FAILED) == 0
    expect(page.locator(".dagnb-head")).to_contain_text("running: 10 of 31")
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_hidden()
    expect(page.locator(".dagnb-foot")).to_contain_text("10 done")
    page.screenshot(path=screens / "page-half.png")
    page.get_by_role("tab", name="Plan").click()
    wait_for_ink(page, DONE, 3000)
    page.screenshot(path=screens / "page-half-plan.png")


def test_it_grows_while_it_plays(page):
    recording = SCENES["pipeline"]()
    page.evaluate("([recording]) => { play(recording, { speed: 4 }) }", [recording])
    heads = set()
    for _ in range(200):
        heads.add(page.locator(".dagnb-head").inner_text())
        if any("done in" in head for head in heads):
            break
        page.wait_for_timeout(20)
    assert any("done in" in head for head in heads)
    assert len(heads) > 5
    assert state(page, "connection.gaps") == 0


def test_a_failed_task_tells_its_story(page, screens):
    play(page, SCENES["failed"](), theme="dark")
    expect(page.locator(".dagnb-head")).to_contain_text("1 failed after")
    x, y = page.evaluate(
        "() => { const { camera, graph } = window.view.graphView;"
        "return [graph.x[8] * camera.kx + camera.tx, graph.y[8] * camera.ky + camera.ty]; }"
    )
    page.locator("canvas.dagnb-canvas").click(position={"x": x, "y": y})
    drawer = page.locator(".dagnb-drawer")
    for words in ("models[2]", "fit", "failed", "ValueError: alpha", "Cell In[3], line 4", "2 GB", "planned", "actual"):
        expect(drawer).to_contain_text(words)
    page.screenshot(path=screens / "page-failed-dark.png")
    page.get_by_role("tab", name="Plan").click()
    expect(drawer).to_contain_text("models[2]")
    assert page.evaluate("window.model.traits.selection") == 8


def test_the_keyboard_walks_the_graph(page):
    play(page, SCENES["half"]())
    canvas = page.locator("canvas.dagnb-canvas")
    canvas.focus()
    keys = page.evaluate("window.view.state_.graph.keys")
    walked = []
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft"):
        page.keyboard.press(key)
        walked.append(keys[state(page, "scene.selection")])
    assert walked[:2] == ["raw", "table"]
    assert walked[2] in {"train", "test"}
    assert walked[3].startswith(("models", "scores"))
    assert walked[4] != walked[3]
    page.keyboard.press("Enter")
    expect(page.locator(".dagnb-drawer")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".dagnb-drawer")).to_be_hidden()
    page.keyboard.press("Escape")
    assert state(page, "scene.selection") == -1
    assert "31 tasks" in canvas.get_attribute("aria-label")
    assert canvas.get_attribute("data-lm-suppress-shortcuts") == "true"


def test_search_and_chips_find_tasks(page):
    play(page, SCENES["half"]())
    page.locator("canvas.dagnb-canvas").focus()
    page.keyboard.press("/")
    page.keyboard.type("kind:score status:ready")
    expect(page.locator(".dagnb-foot")).to_contain_text("6 tasks found")
    page.keyboard.press("Enter")
    expect(page.locator(".dagnb-drawer")).to_contain_text("scores[")
    page.locator(".dagnb-chip", has_text="running").click()
    assert sum(state(page, "scene.matches && [...view.scene.matches]")) == 6


def test_the_wheel_belongs_to_the_notebook_until_asked_for(page):
    play(page, SCENES["half"]())
    zoom = "graphView.camera.kx"
    before = state(page, zoom)
    page.locator("canvas.dagnb-canvas").hover()
    page.mouse.wheel(0, -300)
    page.wait_for_timeout(60)
    assert state(page, zoom) == before
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    page.wait_for_function(f"view.{zoom} > {before}")
    page.keyboard.up("Control")
    page.get_by_role("button", name="Zoom to fit").click()
    page.wait_for_function(f"Math.abs(view.{zoom} - {before}) < 1e-6")


def test_a_large_graph_is_an_overview_that_opens(page, screens):
    took = play(page, SCENES["montage"]())
    assert state(page, "graphView.grouped")
    page.screenshot(path=screens / "page-10k.png")
    where = page.evaluate(
        "() => { const { camera, graph } = window.view.graphView; const g = graph.groups;"
        "const box = g.heads.indexOf('difference');"
        "return [g.x[box] * camera.kx + camera.tx, g.y[box] * camera.ky + camera.ty]; }"
    )
    page.locator("canvas.dagnb-canvas").click(position={"x": where[0], "y": where[1]})
    wait_for_ink(page, DONE, 2000)
    assert not state(page, "graphView.grouped")
    wait_for_ink(page, FAILED, 0)  # one failure among 10,000 tasks is to be seen
    page.screenshot(path=screens / "page-10k-open.png")
    page.keyboard.press("0")
    page.wait_for_function("view.graphView.grouped")
    print(f"10,000 tasks: all patches of half a run and the first paint took {took:.0f} ms")


@pytest.mark.long  # a figure of speed: on a shared machine it tells about the neighbours, too
def test_ten_thousand_tasks_pan_smoothly_while_patches_come(page):
    recording = record(montage(10_000), workers=16, until=0.3, step=0.5)
    for _ in range(3):  # a headless browser on a busy machine now and then gives no frames for seconds
        page.evaluate(
            f"(recording) => void ({PAN})(recording).then((figures) => (window.figures = figures))", recording
        )
        page.wait_for_function("window.figures", timeout=30_000, polling=100)
        figures = page.evaluate("window.figures")
        print(figures)
        assert figures["gaps"] == 0
        if figures["fps"] >= 15 and figures["said"] >= 20:
            return
    pytest.fail(f"{figures}; 50 frames a second on a quiet machine")


def test_nothing_of_the_user_becomes_markup(page):
    nasty = '<img src=x onerror="document.title=1">'
    graph = TaskGraph.build(nasty, [[], [0]], keys=[nasty, "</style><b>"], kind=[nasty, "k"])
    recording = record(graph, until=1)
    recording["details"] = {"0": {"stdout": nasty, "traceback": nasty, "where": nasty, "resources": {nasty: nasty}}}
    play(page, recording)
    page.locator("canvas.dagnb-canvas").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator(".dagnb-drawer pre").first).to_have_text(nasty)
    assert page.locator(".dagnb img, .dagnb b b").count() == 0


def test_an_empty_dag_says_so(page):
    play(page, SCENES["empty"]())
    expect(page.locator(".dagnb-note")).to_have_text("This DAG has no tasks yet.")


def test_a_gap_is_noticed_and_mended_by_asking(page):
    recording = record(pipeline(), until=0.5)
    del recording["messages"][3]
    play(page, recording)
    assert "resync" in page.evaluate("window.model.sent.map((message) => message.kind)")


def test_leaving_says_goodbye_and_shows_the_still_picture_again(page):
    recording = SCENES["half"]()
    mark = recording["traits"]["widget_id"]
    page.evaluate(
        "(id) => { const still = document.createElement('div'); still.className = 'dagnb-static';"
        "still.dataset.dagnb = id; still.textContent = 'still'; document.body.append(still); }",
        mark,
    )
    still = page.locator(".dagnb-static")
    expect(still).to_be_visible()
    play(page, recording)
    expect(still).to_be_hidden()
    page.evaluate("window.stop()")
    expect(still).to_be_visible()
    assert page.evaluate("window.model.sent.at(-1).kind") == "bye"
