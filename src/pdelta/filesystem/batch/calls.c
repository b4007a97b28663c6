/*
 * System calls for many names of one folder at once.
 *
 * Called through ctypes by native.py, which releases the interpreter's lock
 * meanwhile; pure.py says the same in Python, and the tests compare the two bit
 * for bit. Nothing here follows a symbolic link, and nothing is kept between
 * calls. A result below zero is an errno, negated.
 */

#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    VERSION = 3,
    PRINT_BYTES = 36, /* size, mtime, ctime, inode, mode: see fingerprint.py */
    MORE_BYTES = 32,  /* device, blocks, links, owner, group, nothing: see port.py */
    FACT_BYTES = 20,  /* size, mtime, mode of a file that is made: see port.py */
    NAME_ROOM = 256,
    LIST_ROOM = 1 << 16
};

struct listing {
    int64_t count;    /* names that were there when they were looked at */
    int64_t length;   /* bytes of `names`, without a separator at the end */
    int64_t vanished; /* bytes of `gone` likewise */
    int64_t linked;   /* names with more than one link, folders left out */
    int64_t kinds;    /* bit set of st_mode >> 12 */
    char *names;      /* joined by '/', sorted by their bytes */
    char *gone;
    uint8_t *prints;
    uint8_t *more;
};

struct entry {
    uint64_t d_ino;
    int64_t d_off;
    uint16_t d_reclen;
    uint8_t d_type;
    char d_name[];
};

static void put32(uint8_t *to, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

static void put64(uint8_t *to, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

static int64_t get64(const uint8_t *from)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--)
        value = value << 8 | from[i];
    return (int64_t)value;
}

/* Nanoseconds since the epoch; a time that 64 bits do not hold is the first or the last that they do. */
static uint64_t nanoseconds(struct timespec time)
{
    int64_t seconds = time.tv_sec, rest = time.tv_nsec, value;
    if (seconds < 0) { /* so that both parts have one sign, and only the sum can overflow */
        seconds++;
        rest -= 1000000000;
    }
    if (__builtin_mul_overflow(seconds, (int64_t)1000000000, &value) || __builtin_add_overflow(value, rest, &value))
        value = seconds < 0 ? INT64_MIN : INT64_MAX;
    return (uint64_t)value;
}

static void pack_print(uint8_t *to, const struct stat *status)
{
    put64(to, S_ISDIR(status->st_mode) ? 0 : (uint64_t)status->st_size);
    put64(to + 8, nanoseconds(status->st_mtim));
    put64(to + 16, nanoseconds(status->st_ctim));
    put64(to + 24, status->st_ino);
    put32(to + 32, status->st_mode);
}

static void pack_more(uint8_t *to, const struct stat *status)
{
    put64(to, status->st_dev);
    put64(to + 8, (uint64_t)status->st_blocks);
    put32(to + 16, status->st_nlink > UINT32_MAX ? UINT32_MAX : (uint32_t)status->st_nlink);
    put32(to + 20, status->st_uid);
    put32(to + 24, status->st_gid);
    put32(to + 28, 0);
}

int pdelta_version(void)
{
    return VERSION;
}

void pdelta_release(struct listing *it)
{
    free(it->names);
    free(it->gone);
    free(it->prints);
    free(it->more);
    memset(it, 0, sizeof *it);
}

static int by_bytes(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

/* Gather all names of a folder into one block, each ended by a zero; give its length. */
static int64_t gather(int fd, char **block, int64_t *count)
{
    int64_t length = 0, room = 0;
    char *buffer = malloc(LIST_ROOM);

    *block = NULL;
    *count = 0;
    if (buffer == NULL)
        return -ENOMEM;
    if (lseek(fd, 0, SEEK_SET) < 0)
        goto failed;
    for (;;) {
        long got = syscall(SYS_getdents64, fd, buffer, LIST_ROOM);
        if (got < 0)
            goto failed;
        if (got == 0)
            break;
        for (long place = 0; place < got;) {
            struct entry *entry = (struct entry *)(buffer + place);
            const char *name = entry->d_name;
            size_t size = strlen(name) + 1;
            place += entry->d_reclen;
            if (name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0)))
                continue;
            if (length + (int64_t)size > room) {
                room = room ? 2 * room : LIST_ROOM;
                char *larger = realloc(*block, (size_t)room);
                if (larger == NULL) {
                    errno = ENOMEM;
                    goto failed;
                }
                *block = larger;
            }
            memcpy(*block + length, name, size);
            length += (int64_t)size;
            ++*count;
        }
    }
    if (lseek(fd, 0, SEEK_SET) < 0)
        goto failed;
    free(buffer);
    return length;

failed:;
    int error = errno;
    free(buffer);
    free(*block);
    *block = NULL;
    return -error;
}

static int64_t append(char *to, int64_t length, const char *name)
{
    size_t size = strlen(name);
    if (length)
        to[length++] = '/';
    memcpy(to + length, name, size);
    return length + (int64_t)size;
}

/* List a folder and look at every name in it. */
int64_t pdelta_list(int fd, struct listing *it)
{
    char *block, **names;
    int64_t count, length = gather(fd, &block, &count);

    memset(it, 0, sizeof *it);
    if (length < 0)
        return length;
    size_t rows = (size_t)count + 1;
    names = malloc(rows * sizeof *names);
    it->names = malloc((size_t)length + 1);
    it->gone = malloc((size_t)length + 1);
    it->prints = malloc(rows * PRINT_BYTES);
    it->more = malloc(rows * MORE_BYTES);
    int error = names && it->names && it->gone && it->prints && it->more ? 0 : ENOMEM;
    if (!error) {
        char *next = block;
        for (int64_t i = 0; i < count; i++, next += strlen(next) + 1)
            names[i] = next;
        qsort(names, (size_t)count, sizeof *names, by_bytes);
    }
    for (int64_t i = 0; !error && i < count; i++) {
        struct stat status;
        if (fstatat(fd, names[i], &status, AT_SYMLINK_NOFOLLOW)) {
            if (errno == ENOENT)
                it->vanished = append(it->gone, it->vanished, names[i]);
            else
                error = errno;
            continue;
        }
        pack_print(it->prints + it->count * PRINT_BYTES, &status);
        pack_more(it->more + it->count * MORE_BYTES, &status);
        it->length = append(it->names, it->length, names[i]);
        it->kinds |= (int64_t)1 << (status.st_mode >> 12 & 15);
        it->linked += !S_ISDIR(status.st_mode) && status.st_nlink > 1;
        it->count++;
    }
    free(names);
    free(block);
    if (error) {
        pdelta_release(it);
        return -error;
    }
    return it->count;
}

/* Take the next of names that '/' joins; give its length, or 0 for none that fits. */
static size_t take(const char **names, const char *end, char *name)
{
    const char *slash = memchr(*names, '/', (size_t)(end - *names));
    size_t size = (size_t)((slash ? slash : end) - *names);
    if (size && size < NAME_ROOM) {
        memcpy(name, *names, size);
        name[size] = 0;
    }
    *names = slash ? slash + 1 : end;
    return size < NAME_ROOM ? size : 0;
}

/* Look at names of a folder; the fingerprint of one that is not there is all zeros. */
int64_t pdelta_look(int fd, const char *names, int64_t length, int64_t count, uint8_t *prints, uint8_t *more)
{
    const char *end = names + length;
    char name[NAME_ROOM];

    for (int64_t i = 0; i < count; i++, prints += PRINT_BYTES, more += MORE_BYTES) {
        struct stat status;
        if (!take(&names, end, name))
            return -ENAMETOOLONG;
        if (!fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW)) {
            pack_print(prints, &status);
            pack_more(more, &status);
        } else if (errno == ENOENT) {
            memset(prints, 0, PRINT_BYTES);
            memset(more, 0, MORE_BYTES);
        } else {
            return -errno;
        }
    }
    return count;
}

static int read_whole(int fd, const char *name, const uint8_t *print, uint8_t *to)
{
    uint8_t now[PRINT_BYTES];
    struct stat status;
    int64_t size = get64(print), got = 0;
    int file = openat(fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (file < 0)
        return 0;
    while (got < size) {
        ssize_t more = read(file, to + got, (size_t)(size - got));
        if (more < 0 && errno == EINTR)
            continue;
        if (more <= 0)
            break;
        got += more;
    }
    int good = got == size && !fstat(file, &status) && S_ISREG(status.st_mode);
    close(file);
    if (!good)
        return 0;
    pack_print(now, &status);
    return !memcmp(now, print, PRINT_BYTES);
}

/*
 * Read whole regular files one behind the other into a buffer, each as long as its
 * fingerprint says; `good` tells which still had that fingerprint afterwards.
 */
int64_t pdelta_read(int fd, const char *names, int64_t length, int64_t count, const uint8_t *prints, uint8_t *buffer,
                    int64_t room, uint8_t *good)
{
    const char *end = names + length;
    char name[NAME_ROOM];

    for (int64_t i = 0; i < count; i++, prints += PRINT_BYTES) {
        int64_t size = get64(prints);
        if (size < 0 || size > room)
            return -EOVERFLOW;
        good[i] = take(&names, end, name) && read_whole(fd, name, prints, buffer);
        buffer += size;
        room -= size;
    }
    return count;
}

static uint32_t get32(const uint8_t *from)
{
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

static struct timespec time_of(int64_t nanoseconds)
{
    struct timespec time = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    if (time.tv_nsec < 0) {
        time.tv_nsec += 1000000000;
        time.tv_sec--;
    }
    return time;
}

static int write_whole(int file, const uint8_t *from, int64_t size)
{
    while (size) {
        ssize_t done = write(file, from, (size_t)size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done ? -errno : -EIO;
        from += done;
        size -= done;
    }
    return 0;
}

static int create(int fd, const char *name, const uint8_t *fact, const uint8_t *from, int sync, uint8_t *inode)
{
    struct timespec time = time_of(get64(fact + 8)), times[2] = {time, time};
    struct stat status;
    int file = openat(fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (file < 0)
        return -errno;
    int error = write_whole(file, from, get64(fact));
    if (!error && (fchmod(file, get32(fact + 16)) || futimens(file, times) || (sync && fsync(file)) ||
                   fstat(file, &status)))
        error = -errno;
    if (close(file) && !error)
        error = -errno;
    if (!error)
        put64(inode, status.st_ino);
    return error;
}

/*
 * Make files of one folder from what lies one behind the other; `done` counts those
 * that are whole, so that it is the number of the one that failed.
 */
int64_t pdelta_create(int fd, const char *names, int64_t length, int64_t count, const uint8_t *facts,
                      const uint8_t *data, int64_t room, int sync, uint8_t *inodes, int64_t *done)
{
    const char *end = names + length;
    char name[NAME_ROOM];

    for (*done = 0; *done < count; ++*done, facts += FACT_BYTES, inodes += 8) {
        int64_t size = get64(facts);
        if (size < 0 || size > room)
            return -EOVERFLOW;
        int error = take(&names, end, name) ? create(fd, name, facts, data, sync, inodes) : -ENAMETOOLONG;
        if (error)
            return error;
        data += size;
        room -= size;
    }
    return count;
}
