// Where Streamlit calls: a mount names the part that it is.

// What the server finds when the hand lets go: it goes to the map and is itself not seen.
class Found {
  constructor(root) {
    make("span", root).hidden = true;
    this.moved = () => this.ask();
    stage.heard.addEventListener("moved", this.moved);
  }

  end() {
    this.update({ marks: [], settled: null });
    stage.heard.removeEventListener("moved", this.moved);
  }

  update({ marks, settled }) {
    stage.marks = marks;
    // Said again, it does not set off again; what comes later sets off later.
    const said = JSON.stringify(settled);
    if (said !== this.said && settled) {
      const before = isAt(settled.strengths) && stage.settled?.batches < settled.batches;
      const since = before ? stage.settled.since : [];
      while (since.length < settled.x.length) since.push(performance.now());
      stage.settled = { ...settled, since };
    } else if (!settled) stage.settled = null;
    this.said = said;
    stage.heard.dispatchEvent(new Event("moved"));
  }

  // While the thumbs lie still, further points are asked for: a drag is never waited for.
  ask() {
    clearTimeout(this.waits);
    const { settled } = stage;
    if (!settled?.left || !isAt(settled.strengths)) return;
    const { strengths, batches } = settled;
    this.waits = setTimeout(() => this.report("further", { strengths, batches: batches + 1 }), STILL_MS);
  }
}

const PARTS = { sliders: Sliders, map: Picture, found: Found };

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  const root = parentElement.querySelector(".stage");
  root.drawn ??= new PARTS[data.part](root);
  root.drawn.report = setStateValue;
  root.drawn.update(data);
  // Called before each new call as well: what stays on the page goes on.
  return () => setTimeout(() => {
    if (!root.isConnected) root.drawn.end();
  });
}
