"""Page: every model that was diagnosed on a set, beside its controls and its size."""

from pages.leaderboard import charts, table
from pages.shared import bench, frame, sidebar

frame.heading(
    "Leaderboard",
    "Do scale, architecture or alignment change anything? Every model diagnosed on this set, each "
    "figure with its interval, its band of shuffled labels and its controls.",
)
with frame.told():
    set_name = sidebar.set_name()
    items = bench.items(set_name)
    frame.provenance_note(set_name)
    board = table.board(items, set_name)
    table.told_of_earlier()
    if board.empty:
        table.nothing(set_name)
    else:
        choice = table.ask(board)
        charts.show(choice)
        charts.effects(choice)
        charts.table(board, choice)
