/*
 * /init of the image: mounts what the C library and Bun need before they can start, gives the process a console, and
 * becomes /morgana, which so is process 1 and is told that the machine is its own. No C library: this file is all that runs.
 *
 * The environment is its own: the kernel hands unknown words of its command line to process 1 as environment
 * variables, and some (BUN_OPTIONS, LD_PRELOAD) would decide what is run.
 */
#if !defined(__x86_64__)
#error "only x86-64"
#endif

enum {
  SYS_write = 1,
  SYS_open = 2,
  SYS_close = 3,
  SYS_dup2 = 33,
  SYS_pause = 34,
  SYS_execve = 59,
  SYS_mkdir = 83,
  SYS_sysinfo = 99,
  SYS_mount = 165,
  O_RDWR = 2,
  MS_NOSUID = 2,
  MS_NODEV = 4,
  MS_NOEXEC = 8,
  /* Our choice: a machine with less than this is a small one. */
  SMALL_MIB = 384,
};

static long call(long number, long a, long b, long c, long d, long e) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                   : "rcx", "r11", "memory");
  return result;
}

static void say(const char *text) {
  long length = 0;
  while (text[length]) length++;
  call(SYS_write, 2, (long)text, length, 0, 0);
}

static void mount(const char *type, const char *where, long flags) {
  call(SYS_mkdir, (long)where, 0755, 0, 0, 0);
  call(SYS_mount, (long)type, (long)where, (long)type, flags, 0);
}

/* Of struct sysinfo (sysinfo(2)) what is read. */
struct memory {
  long before[4];
  unsigned long total;
  long after[8];
  unsigned int unit;
  char rest[64];
};

static unsigned long memory_mib(void) {
  struct memory memory;
  if (call(SYS_sysinfo, (long)&memory, 0, 0, 0, 0) < 0) return 0;
  return memory.total * memory.unit >> 20;
}

__attribute__((noreturn, used)) static void start(void) {
  /* src/main.ts knows the word: only from here may it take the machine over. */
  static char *const arguments[] = {"/morgana", "boot-this-machine", 0};
  /*
   * The collector waits longer the more memory a machine has, but most of a small one's holds the program's file: 32 MiB
   * are what the program may think that there are. It then collects after some 6 MiB of garbage instead of 12, which costs
   * little: of the 24 MiB that it counts, 20 are native memory that it has nothing to look at in. Bun would also have it collect
   * everything a second after the machine was busy, which nobody needs and packets wait for.
   */
  static char *environment[] = {"PATH=/",
                                "HOME=/",
                                "LANG=C.UTF-8",
                                "TZ=UTC",
                                "BUN_JSC_forceRAMSize=33554432",
                                "BUN_GC_TIMER_DISABLE=1",
                                0,
                                0};
  /*
   * The last tier of the just-in-time compiler takes 6 MiB, some of them for a moment, and moves no more packets; a machine of
   * 256 MiB has 48 free when it has started, and a loaded one wants them all.
   */
  if (memory_mib() < SMALL_MIB) environment[sizeof environment / sizeof *environment - 2] = "BUN_JSC_useFTLJIT=0";

  mount("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC);
  mount("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC);
  mount("devtmpfs", "/dev", MS_NOSUID | MS_NOEXEC);

  /* The archive holds no device nodes, so the kernel found no console to open. */
  long console = call(SYS_open, (long)"/dev/console", O_RDWR, 0, 0, 0);
  if (console < 0) console = call(SYS_open, (long)"/dev/null", O_RDWR, 0, 0, 0);
  if (console >= 0) {
    for (long fd = 0; fd < 3; fd++)
      if (fd != console) call(SYS_dup2, console, fd, 0, 0, 0);
    if (console > 2) call(SYS_close, console, 0, 0, 0, 0);
  }

  call(SYS_execve, (long)arguments[0], (long)arguments, (long)environment, 0, 0);
  say("init: cannot run /morgana\n");
  for (;;) call(SYS_pause, 0, 0, 0, 0, 0);
}

__asm__(".globl _start\n"
        "_start:\n"
        "  xor %ebp, %ebp\n"
        "  and $-16, %rsp\n"
        "  call start\n");
