"""The one place that joins planners, runtime and store; the magics and the command line talk only to it.

names       the table of DAGs by name
registry    DAGs by name; `dagnb.dag(...)`
dag         the public Dag: plan, run, pull; owner of its handles
plans       graph + planner's name + workers → Plan with its simulated figures
engine      the pool of this kernel
answers     a handle or a name → its value from the last run, or the reason why there is none
acting      a graph → the same one, whose tasks only sleep
traces      DAGs from documents of others
export      a DAG as a document for others
lives       a run begun, waited for, cancelled, and what it raises
values      the value of a task, and of variables that hold handles
sources     texts of cells, for the tracebacks of workers
joining     a live run of a kernel that is gone, joined by a DAG that is the same
attach      the runs of other kernels: listed, and taken up
twins       the Python twins of `%dag status`, `workers`, `doctor`, `help`
later       names whose room is not built yet
observers   who wants to hear of plans and runs (the notebook's panels)
"""
