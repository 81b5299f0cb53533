"""The diagram of a workflow in a real browser: how it is laid out, read, and gone through by keys."""

from __future__ import annotations

import re
from typing import Any, Literal

import pytest
from playwright.sync_api import Page, expect

from tests.browser import diagrams
from tests.browser.conftest import Device, Fleet, OpenTab, unreached, wall_ms
from tests.browser.dash_world import call

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

LEFT = "00000000-1111-4000-8000-000000000000"
RIGHT = "00000002-1111-4000-8000-000000000000"

_LAYOUT = """async ([definition, tasks, unfolded]) => {
  const { layoutOf, neighbourOf } = await import("/web/diagram_layout.js");
  const { statesOf, rankOf } = await import("/web/diagram_states.js");
  const states = statesOf(definition.tasks, tasks ?? undefined);
  const layout = layoutOf(definition.tasks, { forkedBy: states.forkedBy,
    unfolded: new Set(unfolded), rank: (step) => rankOf(states, step) });
  const keys = ["ArrowDown", "ArrowUp", "ArrowLeft", "ArrowRight"];
  const ways = Object.fromEntries(layout.nodes.map((node) =>
    [node.id, Object.fromEntries(keys.map((key) => [key, neighbourOf(layout, node.id, key)]))]));
  return { ...layout, ways };
}"""


def lay_out(
    page: Page,
    definition: dict[str, Any],
    tasks: list[dict[str, Any]] | None = None,
    unfolded: tuple[str, ...] = (),
) -> dict[str, Any]:
    """What the layout makes of a definition, and of an execution of it."""
    made: dict[str, Any] = page.evaluate(_LAYOUT, [definition, tasks, list(unfolded)])
    return made


@pytest.fixture
def round_device(device: Device) -> Device:
    """A device that knows the definition with every kind of step, and has run it."""
    device.double.executions[diagrams.ROUND] = diagrams.round_execution(wall_ms() - 60_000)
    device.double.definitions = [diagrams.round_definition(), diagrams.large_definition()]
    return device


def step_of(page: Page, ref: str) -> Any:
    """The node of a step."""
    return page.locator(f".diagram .step[data-ref='{ref}']")


def _overlaps(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return bool(
        one["x"] < other["x"] + other["width"]
        and other["x"] < one["x"] + one["width"]
        and one["y"] < other["y"] + other["height"]
        and other["y"] < one["y"] + one["height"]
    )


def _through(edge: dict[str, Any], node: dict[str, Any]) -> bool:
    """Whether an edge goes through the inside of a node."""
    for (x1, y1), (x2, y2) in zip(edge["points"], edge["points"][1:], strict=False):
        thin = {"x": min(x1, x2), "y": min(y1, y2), "width": abs(x1 - x2), "height": abs(y1 - y2)}
        inner = {**node, "x": node["x"] + 1, "y": node["y"] + 1,
                 "width": node["width"] - 2, "height": node["height"] - 2}  # fmt: skip
        if _overlaps(thin, inner):
            return True
    return False


def test_nothing_lies_on_anything_else(device: Device, open_tab: OpenTab) -> None:
    """Nodes do not overlap, no edge goes through a node, all of it stands inside the drawing."""
    page = open_tab(device.url).open()
    execution = diagrams.round_execution(0)
    for layout in (
        lay_out(page, diagrams.round_definition()),
        lay_out(page, execution["workflowDefinition"], execution["tasks"], ("cameras",)),
        lay_out(page, diagrams.large_definition()),
    ):
        nodes = layout["nodes"]
        crossed = [
            (one["id"], other["id"])
            for index, one in enumerate(nodes)
            for other in nodes[index + 1 :]
            if _overlaps(one, other)
        ]
        struck = [
            (edge["from"], edge["to"], node["id"])
            for edge in layout["edges"]
            for node in nodes
            if _through(edge, node)
        ]

        assert ([], []) == (crossed, struck)
        assert all(
            0 <= node["x"] and node["x"] + node["width"] <= layout["width"] for node in nodes
        )
        assert all(node["y"] + node["height"] <= layout["height"] for node in nodes)


def test_edges_are_the_ways_that_an_execution_can_go(device: Device, open_tab: OpenTab) -> None:
    """Cases by their names, an empty one straight on, a loop's way back, none after TERMINATE."""
    page = open_tab(device.url).open()
    layout = lay_out(page, diagrams.round_definition())
    edges = {
        (one["from"], one["to"], one["label"], bool(one.get("back"))) for one in layout["edges"]
    }

    assert {
        ("start", "look", "", False),
        ("which", "warn", "person", False),
        ("which", "count_animals", "animal", False),
        ("which", "give_up", "broken", False),
        ("which", "rounds", "default", False),
        ("answer", "rounds", "", False),
        ("count_animals", "rounds", "", False),
        ("rest", "rounds", "", True),
        ("rounds", "both", "", False),
        ("north_check", "both_done", "", False),
        ("south", "both_done", "", False),
        ("archive_pictures_of_the_whole_night_to_the_store", "end", "", False),
    } <= edges
    assert not [edge for edge in edges if edge[0] == "give_up"]


def test_many_branches_are_folded(device: Device, open_tab: OpenTab) -> None:
    """Of a dynamic fork some branches are drawn, what failed among them; unfolded all are."""
    page = open_tab(device.url).open()
    execution = diagrams.round_execution(0)
    folded, whole = (
        {node["id"] for node in lay_out(page, execution["workflowDefinition"], execution["tasks"], these)["nodes"]}
        for these in ((), ("cameras",))
    )  # fmt: skip

    assert 5 == len([ref for ref in folded if re.fullmatch(r"camera_\d+", ref)])
    assert {"camera_9", "cameras+"} <= folded
    assert diagrams.BRANCHES == len([ref for ref in whole if re.fullmatch(r"camera_\d+", ref)])


def test_arrow_keys_go_along_edges(device: Device, open_tab: OpenTab) -> None:
    """Down and up along edges, out of a loop behind it, left and right to the branch beside."""
    page = open_tab(device.url).open()
    ways = lay_out(page, diagrams.round_definition())["ways"]

    assert "sort" == ways["look"]["ArrowDown"]
    assert "which" == ways["warn"]["ArrowUp"]
    assert ("count_animals", None) == (ways["warn"]["ArrowRight"], ways["warn"]["ArrowLeft"])
    assert "both" == ways["rest"]["ArrowDown"]
    assert "lit" == ways["walk"]["ArrowDown"]
    assert None is ways["give_up"]["ArrowDown"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_the_diagram_is_accessible(
    round_device: Device, open_tab: OpenTab, scheme: Literal["light", "dark"], width: int
) -> None:
    """Names, contrast and width hold for an execution and for definitions, light and dark."""
    tab = open_tab(round_device.url, width=width, scheme=scheme)
    for name, address in {
        "execution": f"workflows/{diagrams.ROUND}",
        "definition": "definitions/night_round",
        "large": "definitions/large",
    }.items():
        page = tab.open(address)
        expect(page.locator(".diagram .step").first).to_be_visible()
        page.get_by_text("The same as a list").click()
        tab.shoot(f"diagram-{name}-{width}-{scheme}")

        assert [] == tab.audit(), name


def test_a_step_says_how_it_went(round_device: Device, open_tab: OpenTab) -> None:
    """State, attempts and iterations in words, not by colour alone; the same stands in a list."""
    page = open_tab(round_device.url).open(f"workflows/{diagrams.ROUND}")
    expect(step_of(page, "look")).to_have_attribute(
        "aria-label", "look, HTTP, Completed, 2 attempts"
    )
    expect(step_of(page, "walk")).to_have_attribute(
        "aria-label", "walk, SIMPLE, Completed, 3 iterations"
    )
    expect(step_of(page, "camera_9")).to_contain_text("Failed for good")
    expect(step_of(page, "report")).to_contain_text("Not reached")
    expect(step_of(page, "cameras+")).to_have_attribute(
        "aria-label", "15 more branches: 15 completed"
    )
    page.get_by_text("The same as a list").click()
    listed = page.locator(".as-list > ol")

    expect(listed.locator("> li").nth(2)).to_contain_text("took person")
    expect(listed.locator("> li").nth(2)).to_contain_text("Case default: nothing")
    expect(listed.locator("> li")).to_have_count(10)


def test_nothing_has_come_from_a_step_that_is_open(round_device: Device, open_tab: OpenTab) -> None:
    """A join may have gone on without a branch; only into its body a loop leads while it is open."""
    execution = round_device.double.executions[diagrams.ROUND]
    changed = {"south": "SCHEDULED", "rounds": "IN_PROGRESS"}
    for one in execution["tasks"]:
        one["status"] = changed.get(one["referenceTaskName"], one["status"])
    page = open_tab(round_device.url).open(f"workflows/{diagrams.ROUND}")
    left = page.evaluate(
        """async ([definition, tasks, refs]) => {
          const { statesOf } = await import("/web/diagram_states.js");
          return refs.map(statesOf(definition.tasks, tasks).leftFrom);
        }""",
        [execution["workflowDefinition"], execution["tasks"], ["start", "look", "south", "rounds"]],
    )

    assert [True, True, False, True] == left


def test_a_task_opens_from_the_diagram_by_keyboard(round_device: Device, open_tab: OpenTab) -> None:
    """One tab stop; arrows move, Enter shows the task, a step without one, or folded branches."""
    page = open_tab(round_device.url).open(f"workflows/{diagrams.ROUND}")
    expect(page.locator(".diagram .step[tabindex='0']")).to_have_count(1)
    step_of(page, "look").focus()
    page.keyboard.press("ArrowDown")
    expect(step_of(page, "sort")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Task sort")).to_be_visible()
    expect(step_of(page, "sort")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name=re.compile("^Step archive"))).to_contain_text(
        "Not reached"
    )
    step_of(page, "cameras+").focus()
    page.keyboard.press("Enter")

    expect(step_of(page, "camera_17")).to_be_visible()
    page.get_by_role("button", name="Fold the branches").click()
    expect(step_of(page, "camera_17")).to_have_count(0)


def test_a_sub_workflow_leads_to_its_execution(round_device: Device, open_tab: OpenTab) -> None:
    """By a mark on the node, in the task, and in the list."""
    running = diagrams.round_execution(wall_ms() - 60_000, animal=True)
    round_device.double.executions[diagrams.ROUND] = running
    page = open_tab(round_device.url).open(f"workflows/{diagrams.ROUND}")
    expect(step_of(page, "report").locator("a")).to_have_attribute(
        "href", f"#/workflows/{diagrams.CHILD}"
    )
    page.get_by_text("The same as a list").click()
    expect(
        page.locator(".as-list").get_by_role("link", name="Execution it started")
    ).to_be_visible()
    step_of(page, "report").click()

    task = page.get_by_role("region", name="Task report")
    expect(task.get_by_role("link", name="Execution it started")).to_be_visible()


def test_a_large_workflow_scrolls_and_zooms(round_device: Device, open_tab: OpenTab) -> None:
    """Three hundred steps stand in a box of their own, whose size is changed."""
    page = open_tab(round_device.url, width=375).open("definitions/large")
    expect(page.locator(".diagram .step")).to_have_count(300)
    sheet = page.locator(".diagram .sheet")
    before = sheet.evaluate("box => box.scrollHeight")
    page.get_by_role("button", name="Larger").click()
    expect(page.locator(".tools")).to_contain_text("75 %")
    after = sheet.evaluate("box => box.scrollHeight")
    step_of(page, "s0_0").focus()
    page.keyboard.press("End")

    assert before < after
    expect(step_of(page, "c29_4")).to_be_focused()
    expect(step_of(page, "c29_4")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_dashboard_draws_definitions_and_executions(fleet: Fleet, open_tab: OpenTab) -> None:
    """The same diagram on the pages of the fleet, every part of them reached by the keyboard."""
    target = {"target": {"devices": ["gate-7"]}}
    definition = diagrams.round_definition()
    definition["ownerEmail"] = "night@example.org"
    call(fleet, "PUT", "wanted/workflow/night_round", {**target, "definition": definition})
    tab = open_tab(fleet.url)
    page = tab.open("wanted/workflow/night_round")
    expect(page.get_by_role("region", name="Diagram of revision 1")).to_be_visible()
    step_of(page, "rounds").click()
    expect(page.get_by_role("region", name="Step rounds")).to_contain_text("loopOver")
    assert [] == tab.audit()
    page = tab.open(f"executions/gate-7/{LEFT}")
    step_of(page, "annotate").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Task annotate")).to_be_visible()

    assert [] == unreached(page)


def test_two_runs_are_compared_in_the_diagram(fleet: Fleet, open_tab: OpenTab) -> None:
    """What differs between them is marked in both by words, and leads to the task."""
    tab = open_tab(fleet.url)
    page = tab.open(f"compare?left=gate-7%2F{LEFT}&right=gate-7%2F{RIGHT}")
    left, right = (
        page.get_by_role("region", name=f"Diagram, {side}") for side in ("left", "right")
    )
    expect(left.locator(".step.marked")).not_to_have_count(0)
    expect(right.locator(".step.marked")).not_to_have_count(0)
    expect(left.locator(".step[data-ref='clip']")).not_to_have_class(re.compile("marked"))
    expect(left.locator(".step.marked").first).to_have_attribute(
        "aria-label", re.compile("differs: ")
    )
    tab.shoot("diagram-compare")
    assert [] == tab.audit()
    left.locator(".step[data-ref='detect']").focus()
    page.keyboard.press("Enter")

    expect(page.get_by_role("region", name="Task detect")).to_be_visible()


@pytest.mark.parametrize("face", ["device", "fleet"])
def test_the_diagram_is_fetched_when_it_is_shown(
    face: str, device: Device, fleet: Fleet, open_tab: OpenTab
) -> None:
    """A first visit does not pay for it."""
    page = open_tab((device if face == "device" else fleet).url).open()
    names = page.evaluate("performance.getEntriesByType('resource').map((one) => one.name)")

    assert names
    assert not [name for name in names if name.endswith("/diagram.js")]
