"""Plots the results of run.py, read as JSON from standard input, to the file named by the first argument.

Runs in the peers' virtual environment, which has matplotlib."""

import json
import sys

import matplotlib as mpl
from matplotlib import pyplot as plt

# A fixed salt makes the file reproducible, and text as text makes it a third of the size.
mpl.rcParams |= {"svg.hashsalt": "todo-api", "svg.fonttype": "none", "font.size": 9}

values = json.load(sys.stdin)
names = [name.replace("`", "") for name in values["names"]]
colours = ["tab:orange" if name == "todo-api" else "tab:grey" for name in names]
figure, axes = plt.subplots(1, 2, figsize=(10, 0.4 * len(colours) + 1), sharey=True, layout="constrained")
for axis, key, title in zip(
    axes,
    ("rates", "cpu"),
    ("requests per second", "CPU seconds per 1,000 requests"),
    strict=True,
):
    bars = axis.barh(names, values[key], color=colours)
    axis.bar_label(bars, fmt="{:,.3g}" if key == "cpu" else "{:,.0f}", padding=3)
    axis.set_title(title, fontsize="medium")
    axis.margins(x=0.15)
    axis.spines[["top", "right"]].set_visible(False)
axes[0].invert_yaxis()
figure.savefig(sys.argv[1], metadata={"Date": None})
