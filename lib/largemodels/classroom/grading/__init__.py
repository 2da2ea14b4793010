"""Grading a class: ``python -m largemodels grade SUBMISSIONS --out GRADES``.

=============  =====================================================================================
`collecting`   what was handed in, in a folder or an LMS's zip
`layouts`      whose a file is, by the layout of each LMS
`filenames`    names of files whose encoding nobody states
`memory`       the notebooks that count, kept from run to run
`extracting`   what of it is run, and where its answers stand
`cellcode`     the Python that a cell means, and the names in it
`sandbox`      what a process that runs such code may do: limits and walls of the operating system
`seccomp`      the wall between a process and the kernel
`watching`     what a process uses, seen from outside: time, files, threads
`worker`       the process that runs the code; it never sees an expected value
`likenotebook` what a notebook's kernel offers its cells, for that process
`protocol`     how plain values travel between it and the grader
`isolating`    the grader's end: start, limit and stop these processes
`judging`      from what an answer returned to points and a message, in the grader's own process
`jobs`         everything that has to be run, on all processors or on a cluster
`shown`        what a student chose, on its way into a file, a table or a page
`store`        finished results, kept by content
`roster`       who belongs to the class
`rules`        what counts: due dates, lateness, subsets, weights
`byhand`       points and comments that an instructor gave
`gradebook`    the class's points: which notebook counts, and what it is worth
`tables`       CSV that spreadsheets read and write
`lms`          CSV files for Moodle and Canvas
`pages`        from a template to a page
`feedback`     a page for each student and notebook
`prose`        what a student wrote in words
`classreport`  a page for the instructor
`exporting`    students' code for JPlag or MOSS
`command`      the command line
=============  =====================================================================================

Nothing is imported here: the process that runs students' code imports some of these modules, and only those.
"""
