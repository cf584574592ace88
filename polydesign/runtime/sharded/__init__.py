"""Matrices whose rows, columns or batch are spread over ranks: right whatever the placement.

placed.py says where they lie, moves.py what travels, cost.py what it costs and which layout runs, layouts.py
and long_side.py run it, agreement.py makes refusals the same on all ranks, and many.py runs lists.
"""
