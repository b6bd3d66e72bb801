"""Page: every model that was diagnosed on a set, beside its controls and its size."""

from pages.leaderboard import charts, table
from pages.shared import bench, frame, sidebar

set_name = sidebar.set_name()
frame.heading(
    "Leaderboard",
    "Do size, architecture or training change anything? Every model that was tested on these "
    "actions, each figure beside its controls.",
    set_name,
)
with frame.told():
    items = bench.items(set_name)
    board = table.board(items, set_name)
    table.told_of_earlier()
    if board.empty:
        table.nothing()
    else:
        choice = table.ask(board)
        charts.show(choice)
        charts.effects(choice)
        charts.table(board, choice)
