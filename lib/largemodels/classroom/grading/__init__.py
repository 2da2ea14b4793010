"""Grading a class: ``python -m largemodels grade SUBMISSIONS --out GRADES``.

=============  =====================================================================================
`collecting`   which notebook of which student counts, in a folder or an LMS's zip
`extracting`   the student's own code in it, exercise by exercise
`sandbox`      what a process that runs such code may do: limits and walls of the operating system
`seccomp`      the wall between a process and the kernel
`worker`       the process that runs the code; it never sees an expected value
`protocol`     how plain values travel between it and the grader
`isolating`    the grader's end: start, limit and stop these processes
`judging`      from what an answer returned to points and a message, in the grader's own process
`jobs`         everything that has to be run, on all processors or on a cluster
`store`        finished results, kept by content
`gradebook`    the class's points, with what an instructor added by hand
`lms`          CSV files for Moodle and Canvas
`feedback`     a page for each student and notebook
`classreport`  a page for the instructor
`command`      the command line
=============  =====================================================================================

Nothing is imported here: the process that runs students' code imports some of these modules, and only those.
"""
