#pragma once
/* How many CPUs this process may use at once: the default number of threads. */

/* The CPUs that the affinity mask allows (sched_getaffinity(2)), and no more than the CPU time that
 * the process's control groups allow, rounded up: a container with 1.5 of 64 CPUs uses two threads.
 * At least 1. What cannot be found out limits nothing. */
unsigned cpus_usable(void);

/* The limit of the control groups alone, in whole CPUs, rounded up; 0: there is none. Version 1
 * (the controller "cpu") and version 2 (cpu.max), every group from the process's own up to the root
 * of the mount. CGROUP and MOUNTINFO are the files of proc(5), /proc/self/cgroup and
 * /proc/self/mountinfo. */
unsigned cpus_quota(const char *cgroup, const char *mountinfo);
