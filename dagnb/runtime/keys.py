"""Names of all keys in Redis. Everything of a run shares the hash tag {run}.

server   dagnb:ws            hash    per slot: e epoch, s number of the last sync, a its answer, r run
         dagnb:inbox:<slot>  list    "S<run>" join, "W" wake up: hints only, a lost one is healed by asking again
         dagnb:todo:<slot>   list    runs that this slot takes part in, oldest first
         dagnb:runs          hash    run → facts as JSON, live runs only
         dagnb:served        hash    run → what it was served, µs of all workers; hints (`turns`)
         dagnb:past          list    the last runs that were begun, the newest first
         dagnb:unheld        list    runs that their kernel has forgotten, the oldest first (`room`)
         dagnb:fn:<hash>     string  a function, sealed, or the name of a bundle
         dagnb:fn:@<name>    string  several functions in one compressed piece, sealed (`functions`)
         dagnb:arg:<hash>    string  a large argument, sealed; expires when no live run needs it
         dagnb:uses:<hash>   set     live runs that need it
run      dag                 string  the packed graph, sealed              (gone at the end)
…{run}:  deps, roots, place  string  topology for the scripts              (gone at the end)
         cnt                 string  i32 per task: dependencies not committed yet  (gone)
         q, q<slot>          list    ready tasks of nobody, ready tasks named for a slot  (gone)
         root                string  cursor into the free roots            (gone)
         own<slot>           list    what the slot owns and has not committed  (gone)
         idle, act           set     slots without work; slots that have ever had some  (gone)
         avg                 string  mean duration of a task, ns           (gone)
         way                 hash    task → where its copies go, or its group, if it has such  (gone)
         won                 hash    task with copies → slot of the first outcome, * if its value stayed there  (gone)
         seat                hash    group → slot that took its first task; of streams: s<task> likewise, t<task>
                             tried early, x<attempt> that was made again  (gone)
         lost                hash    slot that was given up → slot that has its tasks now, -1: whoever is free  (gone)
         open                hash    producer → attempt that can be listened to  (gone)
         pre<slot>           list    "task:blob": a value that the slot wants early  (gone)
         loc                 string  u32 per task, big endian: which blob holds its value, from 1; 0: none  (gone)
         names, blob         list, hash  names of blobs by number; name → values, sealed  (gone)
         p<task>.<epoch>:<i> string  chunks of a large intermediate, listed in pay before they are written  (gone)
         use                 hash    task → readers of its large value that are not committed; "at<task>" → key:chunks,
                                     empty where it lies in a file  (gone)
         later               zset    task that waits for its next try → when it is due, ns  (gone)
         args                set     hashes of its large arguments         (gone)
         skip, left          set, string  tasks skipped; tasks not finished  (gone)
         meta                hash    state, submitted, ended, slots, base, width, stays, about
         plan                string  the plan that is obeyed, as JSON
         outline             string  what another kernel needs to show the run, sealed (`dagnb.runtime.outline`)
         keep                hash    task → kept value, sealed; small ones: task → name, name → several, sealed
         k<task>.<epoch>:<i> string  chunks of a large kept value; listed in loose until committed
         err, log            hash    task → failure, output, as JSON
         tries               hash    task → failures that were followed by another try, a JSON list
         ev                  stream  packed batches of events (`dagnb.trace.records`)
         fin                 list    the final state, once
"""

from __future__ import annotations

DAGNB = "dagnb:"
RUNS = DAGNB + "runs"
PAST = DAGNB + "past"
UNHELD = DAGNB + "unheld"
TODO = DAGNB + "todo:"
FUNCTION = DAGNB + "fn:"
ARGUMENT = DAGNB + "arg:"
USES = DAGNB + "uses:"


def run_prefix(run: str) -> str:
    """What all keys of a run begin with."""
    return f"{DAGNB}{{{run}}}:"


def inbox(slot: int) -> str:
    """Where a worker waits for a word."""
    return f"{DAGNB}inbox:{slot}"
