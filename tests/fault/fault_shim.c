// Loaded by LD_PRELOAD into the program under test: counts the calls that change files below one
// folder, writes them to a log, and at a chosen one kills the process or makes the call fail. Only
// tests use it. Environment:
//   HEBM_FAULT_ROOT   absolute folder; calls on other paths are passed on
//   HEBM_FAULT_RANK   only this rank (OMPI_COMM_WORLD_RANK; 0 without a launcher); default: all
//   HEBM_FAULT_MATCH  only paths that contain this text
//   HEBM_FAULT_OPS    only these calls, by the names in the log, with commas between them; "read"
//   counts only where it
//   is named HEBM_FAULT_AT     number of the call to act on, from 1; HEBM_FAULT_COUNT: how many
//   from there on (default
//   1, 0: all) HEBM_FAULT_DO     kill: dies behind the call; tear: dies with half of a write done,
//   or before the call;
//                     enospc, eio: the call fails; short: a write takes half of its bytes; sleep: 5
//                     s before the call;
//                     slow: 20 ms
//   HEBM_FAULT_LOG    file that gets a line for each counted call: "NUMBER PID RANK CALL PATH [NEW
//   PATH]"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define KEEP __attribute__((visibility("default")))
#define NEXT(name) ((__typeof__(&name))next_function(#name))

enum Action { kNothing, kKill, kTear, kNoSpace, kInputOutput, kShort, kSleep, kSlow };

static struct {
  const char *root, *match, *ops, *rank;
  size_t root_length;
  unsigned long at, count;
  enum Action action;
  int log;
} settings = {.log = -1};
static atomic_ulong calls;

static void* next_function(const char* name) {
  void* function = dlsym(RTLD_NEXT, name);
  if (function == NULL) abort();
  return function;
}

static enum Action action_of(const char* name) {
  if (name == NULL) return kNothing;
  if (strcmp(name, "kill") == 0) return kKill;
  if (strcmp(name, "tear") == 0) return kTear;
  if (strcmp(name, "enospc") == 0) return kNoSpace;
  if (strcmp(name, "eio") == 0) return kInputOutput;
  if (strcmp(name, "short") == 0) return kShort;
  if (strcmp(name, "sleep") == 0) return kSleep;
  if (strcmp(name, "slow") == 0) return kSlow;
  abort();
}

__attribute__((constructor)) static void read_settings(void) {
  const char *program = program_invocation_short_name, *root = getenv("HEBM_FAULT_ROOT");
  if (root == NULL || strncmp(program, "hebm_", 5) != 0) return;  // the launcher's shells have it loaded too
  const char *world_rank = getenv("OMPI_COMM_WORLD_RANK"), *wanted = getenv("HEBM_FAULT_RANK");
  settings.rank = world_rank == NULL ? "0" : world_rank;
  if (wanted != NULL && strcmp(wanted, settings.rank) != 0) return;
  settings.match = getenv("HEBM_FAULT_MATCH");
  settings.ops = getenv("HEBM_FAULT_OPS");
  settings.action = action_of(getenv("HEBM_FAULT_DO"));
  const char *at = getenv("HEBM_FAULT_AT"), *count = getenv("HEBM_FAULT_COUNT"), *log = getenv("HEBM_FAULT_LOG");
  settings.at = at == NULL ? 0 : strtoul(at, NULL, 10);
  settings.count = count == NULL ? 1 : strtoul(count, NULL, 10);
  if (log != NULL) {
    settings.log = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (settings.log < 0) abort();
  }
  settings.root_length = strlen(root);
  settings.root = root;  // last: it switches the rest on
}

static int is_listed(const char* op) {
  if (settings.ops == NULL) return strcmp(op, "read") != 0;
  const size_t length = strlen(op);
  for (const char* word = settings.ops; word != NULL; word = strchr(word, ',')) {
    word += *word == ',';
    if (strncmp(word, op, length) == 0 && (word[length] == ',' || word[length] == '\0')) return 1;
  }
  return 0;
}

static int is_ours(const char* path) {
  if (settings.root == NULL || strncmp(path, settings.root, settings.root_length) != 0) return 0;
  const char end = path[settings.root_length];
  return (end == '/' || end == '\0') && (settings.match == NULL || strstr(path, settings.match) != NULL);
}

// Renewals of a lease come by the clock: counted, they would move the numbers of all calls.
static int is_renewal(const char* op, const char* path) {
  const char* name = strrchr(path, '/');
  return name != NULL && strcmp(name, "/lease.json") == 0 && (strcmp(op, "write") == 0 || strcmp(op, "close") == 0);
}

struct Fault {
  enum Action action;    // to be taken on this call
  unsigned long number;  // 0: the call is none of ours
};

static struct Fault count_call(const char* op, const char* path) {
  struct Fault fault = {kNothing, 0};
  if (!is_ours(path) || !is_listed(op) || is_renewal(op, path)) return fault;
  fault.number = atomic_fetch_add(&calls, 1) + 1;
  if (settings.at == 0 || fault.number < settings.at) return fault;
  if (settings.count == 0 || fault.number < settings.at + settings.count) fault.action = settings.action;
  if (fault.action == kSleep) sleep(5);
  if (fault.action == kSlow) usleep(20000);
  return fault;
}

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

// Behind the call, with its result.
static void note_call(struct Fault fault, const char* op, const char* path, const char* new_path, long result) {
  if (fault.number == 0) return;
  const int error = errno;
  if (settings.log >= 0) {
    char line[3 * PATH_MAX];
    const int length = snprintf(line, sizeof line, "%lu %d %s %s%s %s%s%s\n", fault.number, (int)getpid(),
        settings.rank, op, result < 0 ? "(failed)" : "", path, new_path[0] != '\0' ? " " : "", new_path);
    if (syscall(SYS_write, settings.log, line, (size_t)length) != length) abort();
  }
  if (fault.action == kKill) die();
  errno = error;
}

// True where the call must fail now; errno is set.
static int must_fail(struct Fault fault) {
  if (fault.action == kTear) die();
  if (fault.action == kNoSpace) errno = ENOSPC;
  if (fault.action == kInputOutput) errno = EIO;
  return fault.action == kNoSpace || fault.action == kInputOutput;
}

static const char* path_of(int fd, char* path) {  // path has PATH_MAX bytes; "" where it has none
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
  path[length > 0 ? length : 0] = '\0';
  return path;
}

// --- calls on paths ---

#define PATH_CALL(op, path, new_path, call)             \
  do {                                                  \
    const struct Fault fault = count_call(op, path);    \
    const long result = must_fail(fault) ? -1 : (call); \
    note_call(fault, op, path, new_path, result);       \
    return (int)result;                                 \
  } while (0)

static int open_file(int (*open_call)(const char*, int, ...), const char* path, int flags, mode_t mode) {
  if ((flags & O_CREAT) == 0) return open_call(path, flags, mode);
  PATH_CALL("create", path, "", open_call(path, flags, mode));
}

#define DEFINE_OPEN(name)                            \
  KEEP int name(const char* path, int flags, ...) {  \
    va_list list;                                    \
    va_start(list, flags);                           \
    const mode_t mode = va_arg(list, mode_t);        \
    va_end(list);                                    \
    return open_file(NEXT(name), path, flags, mode); \
  }
DEFINE_OPEN(open)
DEFINE_OPEN(open64)

KEEP int rename(const char* from, const char* to) { PATH_CALL("rename", from, to, NEXT(rename)(from, to)); }
KEEP int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  PATH_CALL("rename", from, to, NEXT(renameat2)(from_folder, from, to_folder, to, flags));
}
KEEP int link(const char* from, const char* to) { PATH_CALL("link", from, to, NEXT(link)(from, to)); }
KEEP int mkdir(const char* path, mode_t mode) { PATH_CALL("mkdir", path, "", NEXT(mkdir)(path, mode)); }
KEEP int unlink(const char* path) { PATH_CALL("unlink", path, "", NEXT(unlink)(path)); }
KEEP int unlinkat(int folder, const char* name, int flags) {
  char path[PATH_MAX];
  if (folder == AT_FDCWD || name[0] == '/') {
    PATH_CALL("unlink", name, "", NEXT(unlinkat)(folder, name, flags));
  }
  path_of(folder, path);
  strncat(path, "/", sizeof path - strlen(path) - 1);
  strncat(path, name, sizeof path - strlen(path) - 1);
  PATH_CALL("unlink", path, "", NEXT(unlinkat)(folder, name, flags));
}

// --- calls on descriptors ---

#define FD_CALL(op, fd, call)                                                          \
  do {                                                                                 \
    char path[PATH_MAX];                                                               \
    const struct Fault fault = count_call(op, settings.root ? path_of(fd, path) : ""); \
    const int failed = must_fail(fault);                                               \
    const long result = failed ? -1 : (call);                                          \
    note_call(fault, op, path, "", result);                                            \
    return (int)result;                                                                \
  } while (0)

// close: the descriptor is gone even where it reports an error, as on Linux. Only files that were
// open for writing count.
KEEP int close(int fd) {
  char path[PATH_MAX] = "";
  const int flags = settings.root ? fcntl(fd, F_GETFL) : -1;
  const int counts = flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
  const struct Fault fault = count_call("close", counts ? path_of(fd, path) : "");
  if (fault.action == kTear) die();
  const int closed = NEXT(close)(fd);
  const int result = must_fail(fault) ? -1 : closed;
  note_call(fault, "close", path, "", result);
  return result;
}
KEEP int fsync(int fd) { FD_CALL("fsync", fd, NEXT(fsync)(fd)); }
KEEP int fdatasync(int fd) { FD_CALL("fsync", fd, NEXT(fdatasync)(fd)); }
KEEP int ftruncate(int fd, off_t size) { FD_CALL("truncate", fd, NEXT(ftruncate)(fd, size)); }
KEEP int ftruncate64(int fd, off64_t size) { FD_CALL("truncate", fd, NEXT(ftruncate64)(fd, size)); }

// `offset` below 0: at the descriptor's own position.
static ssize_t write_some(int fd, const void* bytes, size_t size, off64_t offset) {
  return offset < 0 ? syscall(SYS_write, fd, bytes, size) : syscall(SYS_pwrite64, fd, bytes, size, offset);
}

static ssize_t write_call(int fd, const void* bytes, size_t size, off64_t offset) {
  char path[PATH_MAX];
  const struct Fault fault = count_call("write", settings.root ? path_of(fd, path) : "");
  if (fault.action == kTear) {
    if (write_some(fd, bytes, size / 2, offset) < 0) abort();
    die();
  }
  const int halved = fault.action == kShort && size > 1;
  const ssize_t result = must_fail(fault) ? -1 : write_some(fd, bytes, halved ? size / 2 : size, offset);
  note_call(fault, "write", path, "", result);
  return result;
}
KEEP ssize_t write(int fd, const void* bytes, size_t size) { return write_call(fd, bytes, size, -1); }
KEEP ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) {
  return write_call(fd, bytes, size, offset);
}
KEEP ssize_t pwrite64(int fd, const void* bytes, size_t size, off64_t offset) {
  return write_call(fd, bytes, size, offset);
}

static ssize_t read_some(int fd, void* bytes, size_t size, off64_t offset) {
  return offset < 0 ? syscall(SYS_read, fd, bytes, size) : syscall(SYS_pread64, fd, bytes, size, offset);
}

static ssize_t read_call(int fd, void* bytes, size_t size, off64_t offset) {
  char path[PATH_MAX];
  const struct Fault fault = count_call("read", settings.root && settings.ops ? path_of(fd, path) : "");
  const ssize_t result = must_fail(fault) ? -1 : read_some(fd, bytes, size, offset);
  note_call(fault, "read", path, "", result);
  return result;
}
KEEP ssize_t read(int fd, void* bytes, size_t size) { return read_call(fd, bytes, size, -1); }
KEEP ssize_t pread(int fd, void* bytes, size_t size, off_t offset) { return read_call(fd, bytes, size, offset); }
KEEP ssize_t pread64(int fd, void* bytes, size_t size, off64_t offset) { return read_call(fd, bytes, size, offset); }
