/*
 * fault: named places where a test makes a failure happen. In release builds FAULT() is 0 and
 * costs nothing. In other builds the environment variable SLUICE_FAULT="name[:nth][=action],…"
 * arms points: action "fail" (default) makes FAULT() return 1 once at the nth pass, "kill" ends the
 * process there with SIGKILL.
 */
#ifndef SLUICE_BASE_FAULT_H
#define SLUICE_BASE_FAULT_H

#ifdef SLUICE_FAULTS
int fault_point(const char *name);
#define FAULT(name) fault_point(name)
#else
#define FAULT(name) 0
#endif

#endif
