// SPDX-License-Identifier: MIT
/*
 * LD_PRELOAD for User-Mode Linux before 6.13 on a CPU with AMX.
 *
 * Since then PTRACE_SETREGSET wants the whole XSAVE area; User-Mode Linux gives it a part of
 * fixed size, is refused, and dies in its first process.  Here the part is completed with
 * zeroes: what is missing is the state of AMX, which a guest cannot switch on.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#define NT_X86_XSTATE 0x202 /* elf.h */

static long (*libc_ptrace)(int, ...);
static char area[1 << 16] __attribute__((aligned(64)));

__attribute__((constructor)) static void find_libc(void)
{
	libc_ptrace = (long (*)(int, ...))dlsym(RTLD_NEXT, "ptrace");
}

long ptrace(enum __ptrace_request request, ...)
{
	static size_t whole_size;
	va_list words;

	va_start(words, request);
	int pid = va_arg(words, int);
	void *address = va_arg(words, void *);
	void *data = va_arg(words, void *);
	va_end(words);

	if (request != PTRACE_SETREGSET || (long)address != NT_X86_XSTATE)
		return libc_ptrace(request, pid, address, data);

	struct iovec whole = { area, sizeof(area) };
	if (!whole_size) {
		if (libc_ptrace(PTRACE_GETREGSET, pid, address, &whole) < 0)
			return -1;
		whole_size = whole.iov_len;
		memset(area, 0, whole_size);
	}
	struct iovec *part = data;
	if (part->iov_len >= whole_size)
		return libc_ptrace(request, pid, address, data);
	memcpy(area, part->iov_base, part->iov_len);
	whole.iov_len = whole_size;
	return libc_ptrace(request, pid, address, &whole);
}
