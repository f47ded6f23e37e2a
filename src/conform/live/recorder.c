/*
 * Executes steps of a trace on the running kernel and shows what /proc says after each.
 *
 * The controller (the process that is started) reads lines from its input and writes lines to its output. Each process of
 * a case is a real process: a worker that waits for orders in shared memory. The controller fills all of its own address
 * space outside the window before it forks the first worker, so that in every worker the window is the only free space.
 * Nothing allocates memory after that.
 *
 * Input                          Output
 *   case <memlock>                 r n <value> | r e <errno> | r s <signal>    result of a step
 *   <operation> <process> ...      P <process>                                 what follows is its state
 *   end                            V <start> <end> <perms> <offset> <inode> <flags>...
 *                                  M <page> <pfn> <mapcount> <kpageflags> <pagemap> <stamp>
 *                                  .                                           end of a step, of a case
 *                                  x <reason>                                  not possible; the case is over
 *
 * Numbers are hexadecimal, pages count from the window's base; memlock is in pages, "-" for no limit.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WINDOW 0x7f0000000000ul
#define PAGES 4096
#define PAGE 4096ul
#define WINDOW_END (WINDOW + PAGES * PAGE)
#define TASK_END 0x7ffffffff000ul
#define LOWEST 4096ul
#define MAX_PROCESSES 4
#define MAX_PINS 32
#define STACK_ROOM (256 * 1024)
#define STEP_SECONDS 20
#define KSM_PASSES 6

#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#define POLICY_DEFAULT 0
#define POLICY_MOVE (1 << 1)
#define POLICY_MOVE_ALL (1 << 2)

enum op { MMAP, MUNMAP, MPROTECT, MREMAP, MADVISE, MLOCK, MLOCK2, MUNLOCK, MSEAL, READ, WRITE, FORK, EXIT, PIN, UNPIN, MIGRATE, KSM, NR_OPS };

static const char *const op_names[NR_OPS] = {"mmap",  "munmap", "mprotect", "mremap", "madvise", "mlock",   "mlock2", "munlock", "mseal",
                                             "read",  "write",  "fork",     "exit",   "pin",     "unpin",   "migrate", "ksm"};

enum { RESULT_NUMBER, RESULT_ERRNO, RESULT_SIGNAL };
enum { SIGNAL_MAPERR = 1, SIGNAL_ACCERR, SIGNAL_BUS, SIGNAL_OTHER };

/* Orders to one worker; `order` and `answer` count them and are what both sides wait on. */
struct slot {
	uint32_t order;
	uint32_t answer;
	uint32_t op;
	uint64_t args[5];
	uint32_t kind;
	uint64_t value;
};

/* What the controller knows of a worker. */
struct process {
	pid_t pid;
	int pidfd, mem, pagemap, smaps;
};

static struct slot *slots;
static struct process processes[MAX_PROCESSES];
static int created;
static int rings[MAX_PINS];
static int nr_rings;
static int kpagecount, kpageflags;
static void *drain_page;
static pid_t controller;
static uint32_t pinned;      /* a worker's pins, a bit each */
static struct slot *mine; /* a worker's own; not a local, so that it is whole after a jump */
static sigjmp_buf after_fault;
static volatile int fault_code;
static volatile int may_fault; /* only while a step reads or writes memory */

/* Output: collected, written when an answer is complete. */
static char out[1 << 20];
static size_t out_length;

static void flush(void)
{
	for (size_t done = 0; done < out_length;) {
		ssize_t n = write(1, out + done, out_length - done);
		if (n <= 0)
			_exit(1);
		done += n;
	}
	out_length = 0;
}

__attribute__((format(printf, 1, 2))) static void put(const char *format, ...)
{
	va_list args;
	if (out_length > sizeof(out) - 1024)
		flush();
	va_start(args, format);
	out_length += vsnprintf(out + out_length, 1024, format, args);
	va_end(args);
}

static void die(const char *what)
{
	put("x %s: %s\n", what, strerror(errno));
	flush();
	_exit(1);
}

static long futex(uint32_t *word, int op, uint32_t value, const struct timespec *timeout)
{
	return syscall(SYS_futex, word, op, value, timeout, NULL, 0);
}

/* ---- worker ---- */

static void on_fault(int signal, siginfo_t *info, void *context)
{
	(void)context;
	if (!may_fault)
		_exit(3);
	may_fault = 0;
	if (signal == SIGBUS)
		fault_code = info->si_code == BUS_ADRERR ? SIGNAL_BUS : SIGNAL_OTHER;
	else
		fault_code = info->si_code == SEGV_MAPERR ? SIGNAL_MAPERR : info->si_code == SEGV_ACCERR ? SIGNAL_ACCERR : SIGNAL_OTHER;
	siglongjmp(after_fault, 1);
}

static void answer(struct slot *slot, uint32_t kind, uint64_t value)
{
	slot->kind = kind;
	slot->value = value;
	__atomic_add_fetch(&slot->answer, 1, __ATOMIC_RELEASE);
	futex(&slot->answer, FUTEX_WAKE, 1, NULL);
}

static void access_memory(struct slot *slot)
{
	volatile uint8_t *byte = (volatile uint8_t *)slot->args[0];
	if (sigsetjmp(after_fault, 1) != 0) {
		answer(mine, RESULT_SIGNAL, fault_code);
		return;
	}
	uint64_t value = 0;
	may_fault = 1;
	if (slot->op == WRITE)
		*byte = (uint8_t)slot->args[1];
	else
		value = *byte;
	may_fault = 0;
	answer(slot, RESULT_NUMBER, value);
}

static long unpin(unsigned id)
{
	pinned &= ~(1u << id);
	return syscall(SYS_io_uring_register, rings[id], IORING_UNREGISTER_BUFFERS, NULL, 0);
}

static long pin(const uint64_t *a)
{
	struct iovec range = {(void *)a[0], a[1]};
	long result = syscall(SYS_io_uring_register, rings[a[2]], IORING_REGISTER_BUFFERS, &range, 1);
	if (result >= 0)
		pinned |= 1u << a[2];
	return result;
}

static long system_call(uint32_t op, const uint64_t *a)
{
	switch (op) {
	case MMAP:
		return syscall(SYS_mmap, a[0], a[1], a[2], a[3], -1, 0);
	case MUNMAP:
		return syscall(SYS_munmap, a[0], a[1]);
	case MPROTECT:
		return syscall(SYS_mprotect, a[0], a[1], a[2]);
	case MREMAP:
		return syscall(SYS_mremap, a[0], a[1], a[2], a[3], a[4]);
	case MADVISE:
		return syscall(SYS_madvise, a[0], a[1], a[2]);
	case MLOCK:
		return syscall(SYS_mlock, a[0], a[1]);
	case MLOCK2:
		return syscall(SYS_mlock2, a[0], a[1], a[2]);
	case MUNLOCK:
		return syscall(SYS_munlock, a[0], a[1]);
	case MSEAL:
		return syscall(SYS_mseal, a[0], a[1], 0);
	case MIGRATE:
		return syscall(SYS_mbind, a[0], a[1], POLICY_DEFAULT, NULL, 0, POLICY_MOVE_ALL);
	case PIN:
		return pin(a);
	case UNPIN:
		return unpin(a[0]);
	default:
		errno = ENOSYS;
		return -1;
	}
}

static void serve(int number);

/* The child becomes a worker of its own; its pid is the parent's answer. */
static void fork_worker(struct slot *slot)
{
	/* Read before: once the parent has answered, the slot belongs to its next order. */
	int number = slot->args[0];
	pid_t pid = fork();
	if (pid == 0)
		serve(number);
	if (pid < 0)
		answer(slot, RESULT_ERRNO, errno);
	else
		answer(slot, RESULT_NUMBER, pid);
}

static void serve(int number)
{
	struct slot *slot = &slots[number];
	uint32_t done = 0;
	mine = slot;
	pinned = 0;
	for (;; done++) {
		while (__atomic_load_n(&slot->order, __ATOMIC_ACQUIRE) == done) {
			struct timespec second = {1, 0};
			if (futex(&slot->order, FUTEX_WAIT, done, &second) != 0 && errno == ETIMEDOUT && kill(controller, 0) != 0)
				_exit(1);
		}
		switch (slot->op) {
		case READ:
		case WRITE:
			access_memory(slot);
			break;
		case FORK:
			fork_worker(slot);
			break;
		case EXIT:
			for (unsigned id = 0; id < MAX_PINS; id++)
				if (pinned & (1u << id))
					unpin(id);
			_exit(0);
		default: {
			long result = system_call(slot->op, slot->args);
			answer(slot, result == -1 ? RESULT_ERRNO : RESULT_NUMBER, result == -1 ? (uint64_t)errno : (uint64_t)result);
		}
		}
	}
}

/* As far as memory is concerned, a process without privileges. */
static void drop_rights(const char *memlock)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];
	if (memlock[0] != '-') {
		rlim_t bytes = strtoull(memlock, NULL, 16) * PAGE;
		struct rlimit limit = {bytes, bytes};
		if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0)
			_exit(2);
	}
	if (syscall(SYS_capget, &header, data) != 0)
		_exit(2);
	for (int i = 0; i < 2; i++)
		data[i].inheritable = 0;
	data[0].effective &= ~((1u << CAP_IPC_LOCK) | (1u << CAP_SYS_RAWIO));
	data[0].permitted = data[0].effective;
	data[1].permitted = data[1].effective;
	if (syscall(SYS_capset, &header, data) != 0)
		_exit(2);
}

/* ---- controller: address space ---- */

/* Shared, so that nothing merges with it; without access, so that nothing is ever in it. */
static void occupy(uint64_t start, uint64_t end)
{
	int flags = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
	if (start < end && mmap((void *)start, end - start, PROT_NONE, flags, -1, 0) == MAP_FAILED)
		die("the space outside of the window cannot be occupied");
}

static void occupy_outside(uint64_t start, uint64_t end)
{
	occupy(start, end < WINDOW ? end : (start < WINDOW ? WINDOW : start));
	occupy(start > WINDOW_END ? start : (end > WINDOW_END ? WINDOW_END : end), end);
}

static char text[1 << 20];

static size_t read_whole(int fd)
{
	size_t length = 0;
	ssize_t n;
	lseek(fd, 0, SEEK_SET);
	while (length < sizeof(text) - 1 && (n = read(fd, text + length, sizeof(text) - 1 - length)) > 0)
		length += n;
	text[length] = 0;
	return length;
}

static void occupy_everything(void)
{
	uint64_t free_from = LOWEST;
	int fd = open("/proc/self/maps", O_RDONLY);
	if (fd < 0)
		die("/proc/self/maps");
	read_whole(fd);
	close(fd);
	for (char *line = text; line != NULL && *line != 0;) {
		char *rest;
		uint64_t start = strtoull(line, &rest, 16);
		uint64_t end = strtoull(rest + 1, NULL, 16);
		if (start >= TASK_END)
			break;
		if (start < WINDOW_END && end > WINDOW) {
			errno = EBUSY;
			die("something lies in the window");
		}
		occupy_outside(free_from, start);
		free_from = end;
		line = strchr(line, '\n');
		line = line == NULL ? NULL : line + 1;
	}
	occupy_outside(free_from, TASK_END);
}

/* The stack never grows once the space around it is taken. */
static void __attribute__((noinline)) touch_stack(void)
{
	volatile char room[STACK_ROOM];
	for (size_t i = 0; i < sizeof(room); i += 1024)
		room[i] = 1;
}

/* ---- controller: observation ---- */

static uint64_t word_of(int fd, uint64_t index)
{
	uint64_t word = 0;
	if (pread(fd, &word, 8, index * 8) != 8)
		die("/proc/kpagecount or /proc/kpageflags");
	return word;
}

/* Header lines begin with an address, all others with a capital letter. */
static void show_vmas(struct process *process)
{
	char head[256] = "";
	read_whole(process->smaps);
	for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		if (line[0] < 'A' || line[0] > 'Z') {
			uint64_t start, end, offset, inode;
			char perms[8];
			head[0] = 0;
			if (sscanf(line, "%lx-%lx %7s %lx %*s %lu", &start, &end, perms, &offset, &inode) == 5 && start >= WINDOW && start < WINDOW_END)
				snprintf(head, sizeof(head), "V %lx %lx %s %lx %lx", (start - WINDOW) / PAGE, (end - WINDOW) / PAGE, perms, offset / PAGE, inode);
		} else if (head[0] != 0 && strncmp(line, "VmFlags:", 8) == 0) {
			put("%s%s\n", head, line + 8);
			head[0] = 0;
		}
	}
}

#define PRESENT (1ul << 63)
#define PFN_MASK ((1ul << 55) - 1)
#define KPF_HUGE (1ul << 17)
#define KPF_ZERO_PAGE (1ul << 24)
#define HUGE_PAGES 512

static void show_pages(struct process *process)
{
	static uint64_t entries[PAGES];
	if (pread(process->pagemap, entries, sizeof(entries), WINDOW / PAGE * 8) != sizeof(entries))
		die("/proc/PID/pagemap");
	for (int i = 0; i < PAGES; i++) {
		uint64_t pfn = entries[i] & PFN_MASK;
		uint8_t stamp = 0;
		if (!(entries[i] & PRESENT))
			continue;
		uint64_t flags = word_of(kpageflags, pfn);
		if (!(flags & KPF_ZERO_PAGE) && pread(process->mem, &stamp, 1, WINDOW + i * PAGE) != 1)
			die("/proc/PID/mem");
		put("M %x %lx %lx %lx %lx %x\n", i, pfn, word_of(kpagecount, pfn), flags, entries[i] & ~PFN_MASK, stamp);
		if (flags & KPF_HUGE)
			i += HUGE_PAGES - 1;
	}
}

static void show_state(void)
{
	for (int p = 0; p < created; p++) {
		if (processes[p].pid == 0)
			continue;
		put("P %x\n", p);
		show_vmas(&processes[p]);
		show_pages(&processes[p]);
	}
}

/* ---- controller: processes ---- */

static int open_of(pid_t pid, const char *name)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die(path);
	return fd;
}

static void adopt(pid_t pid)
{
	struct process *process = &processes[created++];
	process->pid = pid;
	process->pidfd = syscall(SYS_pidfd_open, pid, 0);
	if (process->pidfd < 0)
		die("pidfd_open");
	process->mem = open_of(pid, "mem");
	process->pagemap = open_of(pid, "pagemap");
	process->smaps = open_of(pid, "smaps");
}

/* Waits until the process has exited; its address space is gone by then. */
static void forget(struct process *process)
{
	struct pollfd exited = {process->pidfd, POLLIN, 0};
	if (poll(&exited, 1, STEP_SECONDS * 1000) != 1)
		die("a process does not exit");
	close(process->pidfd);
	close(process->mem);
	close(process->pagemap);
	close(process->smaps);
	process->pid = 0;
}

static void end_case(void)
{
	for (int p = 0; p < created; p++) {
		if (processes[p].pid == 0)
			continue;
		kill(processes[p].pid, SIGKILL);
		forget(&processes[p]);
	}
	/* A process that was killed did not unpin. */
	for (int id = 0; id < nr_rings; id++)
		syscall(SYS_io_uring_register, rings[id], IORING_UNREGISTER_BUFFERS, NULL, 0);
	created = 0;
}

static void begin_case(const char *memlock)
{
	end_case();
	memset(slots, 0, MAX_PROCESSES * sizeof(*slots));
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		drop_rights(memlock);
		serve(0);
	}
	adopt(pid);
}

/* Empties the per-CPU batches of pages that wait for the LRU lists: their references would look like users. */
static void drain_lru(void)
{
	if (syscall(SYS_mbind, drain_page, PAGE, POLICY_DEFAULT, NULL, 0, POLICY_MOVE) != 0)
		die("mbind");
}

static uint64_t number_in(const char *path)
{
	char line[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, line, sizeof(line) - 1) < 1)
		die(path);
	close(fd);
	return strtoull(line, NULL, 10);
}

static void write_to(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		die(path);
	close(fd);
}

/* Lets ksmd make its passes. Without mergeable memory anywhere it sleeps: then there is nothing to wait for. */
static void run_ksm(void)
{
	const char *run = "/sys/kernel/mm/ksm/run", *scans = "/sys/kernel/mm/ksm/full_scans";
	uint64_t start = number_in(scans), last = start;
	int idle = 0;
	write_to(run, "1");
	while (last < start + KSM_PASSES && idle < 500) {
		usleep(1000);
		uint64_t now = number_in(scans);
		idle = now == last ? idle + 1 : 0;
		last = now;
	}
	write_to(run, "0");
}

/* ---- controller: steps ---- */

static void order(int p, uint32_t op, const uint64_t *args)
{
	struct slot *slot = &slots[p];
	slot->op = op;
	memcpy(slot->args, args, sizeof(slot->args));
	__atomic_add_fetch(&slot->order, 1, __ATOMIC_RELEASE);
	futex(&slot->order, FUTEX_WAKE, 1, NULL);
}

static void await(int p)
{
	struct slot *slot = &slots[p];
	struct pollfd exited = {processes[p].pidfd, POLLIN, 0};
	struct timespec slice = {0, 100 * 1000 * 1000};
	uint32_t before = slot->order - 1;
	for (int slices = 0; __atomic_load_n(&slot->answer, __ATOMIC_ACQUIRE) == before;) {
		if (futex(&slot->answer, FUTEX_WAIT, before, &slice) == 0 || errno != ETIMEDOUT)
			continue;
		if (poll(&exited, 1, 0) == 1 || ++slices > STEP_SECONDS * 10)
			die("a process of the case died or does not answer");
	}
}

static void show_result(const struct slot *slot, uint32_t op)
{
	if (slot->kind == RESULT_NUMBER && op == FORK) {
		adopt(slot->value);
		put("r n %x\n", created - 1);
	} else {
		put("r %c %lx\n", "nes"[slot->kind], slot->value);
	}
}

static void run_step(uint32_t op, int p, const uint64_t *args)
{
	drain_lru();
	if (op == KSM) {
		run_ksm();
		put("r n 0\n");
	} else {
		order(p, op, args);
		if (op == EXIT) {
			forget(&processes[p]);
			put("r n 0\n");
		} else {
			await(p);
			show_result(&slots[p], op);
		}
	}
	show_state();
}

static int op_of(const char *name)
{
	for (int op = 0; op < NR_OPS; op++)
		if (strcmp(name, op_names[op]) == 0)
			return op;
	return -1;
}

/* Returns why the step cannot be made, or NULL. */
static const char *refusal(int op, unsigned p, const uint64_t *args)
{
	if (op < 0)
		return "unknown operation";
	if (op != KSM && (p >= (unsigned)created || processes[p].pid == 0))
		return "the process is not alive";
	if (op == FORK && (args[0] != (uint64_t)created || created >= MAX_PROCESSES))
		return "not the next process";
	if ((op == PIN && args[2] >= (uint64_t)nr_rings) || (op == UNPIN && args[0] >= (uint64_t)nr_rings))
		return "no such pin";
	return NULL;
}

static void handle(char *line)
{
	char *words[8] = {0};
	int count = 0;
	for (char *word = strtok(line, " "); word != NULL && count < 8; word = strtok(NULL, " "))
		words[count++] = word;
	if (count == 0)
		return;
	if (strcmp(words[0], "case") == 0 && count == 2) {
		begin_case(words[1]);
	} else if (strcmp(words[0], "end") == 0) {
		end_case();
	} else {
		uint64_t args[5] = {0};
		int op = op_of(words[0]);
		unsigned p = count > 1 ? strtoul(words[1], NULL, 16) : 0;
		for (int i = 2; i < count && i < 7; i++)
			args[i - 2] = strtoull(words[i], NULL, 16);
		const char *reason = refusal(op, p, args);
		if (reason == NULL)
			run_step(op, p, args);
		else
			put("x %s\n", reason);
	}
	put(".\n");
}

/* ---- start ---- */

static void open_rings(void)
{
	for (nr_rings = 0; nr_rings < MAX_PINS; nr_rings++) {
		struct io_uring_params params;
		memset(&params, 0, sizeof(params));
		rings[nr_rings] = syscall(SYS_io_uring_setup, 1, &params);
		if (rings[nr_rings] < 0)
			break;
	}
}

static void use_one_cpu(void)
{
	cpu_set_t allowed, one;
	CPU_ZERO(&one);
	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
		die("sched_getaffinity");
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed))
			continue;
		CPU_SET(cpu, &one);
		break;
	}
	if (sched_setaffinity(0, sizeof(one), &one) != 0)
		die("sched_setaffinity");
}

static void *page_of(int sharing)
{
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		die("mmap");
	memset(page, 1, PAGE);
	return page;
}

static void prepare(void)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	signal(SIGCHLD, SIG_IGN);
	/* Ctrl-C reaches all of the terminal; who started this decides when it ends. */
	signal(SIGINT, SIG_IGN);
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	use_one_cpu();
	open_rings();
	if ((kpagecount = open("/proc/kpagecount", O_RDONLY | O_CLOEXEC)) < 0)
		die("/proc/kpagecount");
	if ((kpageflags = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC)) < 0)
		die("/proc/kpageflags");
	slots = page_of(MAP_SHARED);
	drain_page = page_of(MAP_PRIVATE);
	touch_stack();
	occupy_everything();
}

int main(int count, char **words)
{
	static char input[4096];
	size_t length = 0;
	(void)count;
	if (!(personality(0xffffffff) & ADDR_NO_RANDOMIZE)) {
		personality(personality(0xffffffff) | ADDR_NO_RANDOMIZE);
		execv("/proc/self/exe", words);
		die("exec");
	}
	controller = getpid();
	prepare();
	put("ready %x\n.\n", nr_rings);
	flush();
	for (;;) {
		ssize_t n = read(0, input + length, sizeof(input) - 1 - length);
		if (n <= 0)
			break;
		length += n;
		input[length] = 0;
		char *line = input, *end;
		while ((end = strchr(line, '\n')) != NULL) {
			*end = 0;
			handle(line);
			line = end + 1;
		}
		flush();
		length = strlen(line);
		memmove(input, line, length + 1);
	}
	end_case();
	return 0;
}
