/* Keeps a browser from noticing that interfaces of its machine come and go, as containers' do
 * all the time in these tests: Chromium then gives up whatever it is loading
 * (net::ERR_NETWORK_CHANGED). Without netlink(7) it takes the network for one that stays.
 * Preloaded by person.mjs; built by tests/setup.sh. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/socket.h>

int socket(int domain, int type, int protocol)
{
    static int (*real)(int, int, int);

    if (domain == AF_NETLINK) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "socket");
    return real(domain, type, protocol);
}
