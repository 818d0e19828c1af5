/*
 * fault: named places where a test makes a failure happen. In release builds FAULT() is 0 and
 * costs nothing. In other builds the environment variable SLUICE_FAULT="name[:nth][=action],…"
 * arms points: action "fail" (default) makes FAULT() return 1 once at the nth pass, "kill" ends the
 * process there with SIGKILL.
 */
#ifndef SLUICE_BASE_FAULT_H
#define SLUICE_BASE_FAULT_H

#ifdef SLUICE_FAULTS
/* 1 when the failure named so is to happen now. Any thread. */
int fault_point(const char *name);
/* Arms points in place of those armed before, in the form of SLUICE_FAULT; NULL disarms all. For
   unit tests. 0, or ERR_SYNTAX, ERR_RANGE, ERR_FULL (and nothing changed). */
int fault_arm(const char *points_text);
#define FAULT(name) fault_point(name)
#else
#define FAULT(name) 0
#endif

#endif
