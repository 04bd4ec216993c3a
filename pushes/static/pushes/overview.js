// The charts of the landing page: drawn once, then fed with the figures of each refresh.
(function () {
  "use strict";
  var COLOURS = {
    system: "#0f766e", group: "#3b82f6", private: "#8b5cf6", broadcast: "#f59e0b",
    accepted: "#16a34a", failed: "#dc2626", unknown: "#ea580c", expired: "#a16207", skipped: "#9ca3af",
    p50: "#14b8a6", p95: "#f59e0b", p99: "#dc2626"
  };
  var charts = {};

  function figures() {
    var node = document.getElementById("chart-data");
    return node ? JSON.parse(node.textContent) : null;
  }

  function datasets(data, part, kind) {
    return Object.keys(data[part]).map(function (name) {
      return {
        label: data.names[name] || name, data: data[part][name],
        borderColor: COLOURS[name], backgroundColor: kind === "line" ? COLOURS[name] + "33" : COLOURS[name],
        // A quantile is an estimate: straight lines promise no more, and a point keeps a lone minute visible.
        borderWidth: kind === "line" ? 1.5 : 0, pointRadius: part === "latencies" ? 1.5 : 0, pointHitRadius: 8,
        tension: part === "latencies" ? 0 : 0.25, cubicInterpolationMode: part === "kinds" ? "monotone" : "default",
        fill: part === "kinds", spanGaps: false, categoryPercentage: 1, barPercentage: 0.9
      };
    });
  }

  function options(part) {
    var dark = document.documentElement.classList.contains("dark");
    var grid = dark ? "rgba(255,255,255,.08)" : "rgba(0,0,0,.07)", ink = dark ? "#9ca3af" : "#6b7280";
    var stacked = part !== "latencies";
    return {
      animation: false, responsive: true, maintainAspectRatio: false, interaction: { mode: "index", intersect: false },
      plugins: { legend: { position: "bottom", labels: { color: ink, boxWidth: 10, boxHeight: 10 } } },
      scales: {
        x: { stacked: stacked, grid: { display: false }, ticks: { color: ink, maxTicksLimit: 8, maxRotation: 0 } },
        y: {
          stacked: stacked, type: part === "latencies" ? "logarithmic" : "linear", beginAtZero: true, suggestedMax: 4,
          grid: { color: grid }, border: { display: false },
          ticks: part === "latencies"
            ? { color: ink, callback: function (value) { return [10, 100, 1000, 10000, 60000].indexOf(value) < 0 ? null : value; } }
            : { color: ink, precision: 0, maxTicksLimit: 6 }
        }
      }
    };
  }

  function draw(data, part, kind) {
    var canvas = document.querySelector("#chart-" + part + " canvas");
    if (!canvas) return;
    var chart = charts[part];
    if (chart && chart.canvas === canvas) {
      chart.data.labels = data.labels;
      datasets(data, part, kind).forEach(function (set, at) { chart.data.datasets[at].data = set.data; });
      chart.options = options(part);
      chart.update("none");
      return;
    }
    if (chart) chart.destroy();
    charts[part] = new Chart(canvas, {
      type: kind, data: { labels: data.labels, datasets: datasets(data, part, kind) }, options: options(part)
    });
  }

  function shown(value) { return value === null || value === undefined ? "–" : Math.round(value).toLocaleString("en"); }

  // What a chart shows, for whoever does not see it: in short as the picture's name, in full as a table on demand.
  function tell(data, part) {
    var canvas = document.querySelector("#chart-" + part + " canvas"), words = document.getElementById("chart-words");
    if (!canvas || !words) return;
    canvas.dataset.name = canvas.dataset.name || canvas.getAttribute("aria-label");
    var sentences = Object.keys(data[part]).map(function (name) {
      var row = data[part][name], known = row.filter(function (value) { return value !== null; });
      return words.dataset.latest.replace("{name}", data.names[name] || name)
        .replace("{latest}", shown(row[row.length - 1])).replace("{most}", shown(known.length ? Math.max.apply(null, known) : null));
    });
    canvas.setAttribute("aria-label", canvas.dataset.name + ". " + sentences.join("; "));
    var box = document.getElementById("numbers-" + part);
    if (box && box.open) fill(box, data, part, words.dataset.at);
    if (box && !box.dataset.ready) {
      box.dataset.ready = "yes";
      box.addEventListener("toggle", function () { if (box.open) fill(box, figures(), part, words.dataset.at); });
    }
  }

  function fill(box, data, part, at) {
    var names = Object.keys(data[part]), table = document.createElement("table");
    table.className = "console-table is-narrow";
    function row(tag, cells) {
      var line = document.createElement("tr");
      cells.forEach(function (text) { var cell = document.createElement(tag); cell.textContent = text; line.append(cell); });
      return line;
    }
    table.createTHead().append(row("th", [at].concat(names.map(function (name) { return data.names[name] || name; }))));
    var body = table.createTBody();
    for (var step = data.labels.length - 1; step >= 0; step--) {
      body.append(row("td", [data.labels[step]].concat(names.map(function (name) { return shown(data[part][name][step]); }))));
    }
    box.querySelector("div").replaceChildren(table);
  }

  // A screen reader is told of new alerts only, and once: not of every refresh.
  var told = null;
  function announce() {
    var region = document.getElementById("alerts-live"), now = new Map();
    if (!region) return;
    document.querySelectorAll("[data-alert]").forEach(function (alert) { now.set(alert.dataset.alert, alert.textContent.trim()); });
    if (told) {
      var fresh = [...now.keys()].filter(function (name) { return !told.has(name); });
      if (fresh.length) region.textContent = fresh.map(function (name) { return now.get(name); }).join(" ");
      else if (told.size && !now.size) region.textContent = region.dataset.well;
    }
    told = new Set(now.keys());
  }

  function redraw() {
    announce();
    var data = figures();
    if (!data) return;
    ["kinds", "outcomes", "latencies"].forEach(function (part) { tell(data, part); });
    draw(data, "kinds", "line");
    draw(data, "outcomes", "bar");
    draw(data, "latencies", "line");
  }

  window.addEventListener("load", function () {
    if (!document.getElementById("overview")) return;
    redraw();
    document.body.addEventListener("htmx:afterSettle", redraw);
    new MutationObserver(redraw).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
  });
})();
