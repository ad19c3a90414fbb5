/* floor: what a delivery costs at the least.
 *
 * A WebSocket server without a server in it: one thread, epoll, and for every
 * frame that comes in one send(2) to each connection of the same room. No
 * protocol, no queue, no rights, no log; it trusts what it reads. What a real
 * server takes beyond this is what its promises cost. In C, because a floor
 * has to be the cheapest way there is.
 *
 *   cc -O2 -o floor floor.c && ./floor PORT [SECONDS]
 *
 * With SECONDS every connection gets a ping that often, all in one go, and its
 * answer is read: one send(2) and one recv(2) for each, which is what asking
 * costs at the least.
 *
 * The room is the number behind the last '-' of the path; the answer to the
 * handshake is the one for the load client's fixed key.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { ROOMS = 1024, CONNECTIONS = 65536, BUFFER = 1 << 16 };

struct room {
	int *fds;
	int count, capacity;
};

struct connection {
	int room; /* -1 until the handshake */
	int place; /* in the room's list */
};

static struct room rooms[ROOMS];
static struct connection connections[CONNECTIONS];
static int poller;

static const char accepted[] =
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void watch(int fd)
{
	struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
	if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e))
		fail("epoll_ctl");
}

static void enter(int fd, int number)
{
	struct room *r = &rooms[number];
	if (r->count == r->capacity) {
		r->capacity = r->capacity ? 2 * r->capacity : 16;
		if (!(r->fds = realloc(r->fds, r->capacity * sizeof *r->fds)))
			fail("realloc");
	}
	connections[fd] = (struct connection){number, r->count};
	r->fds[r->count++] = fd;
}

static void leave(int fd)
{
	struct connection *c = &connections[fd];
	if (c->room >= 0) {
		struct room *r = &rooms[c->room];
		int last = r->fds[--r->count];
		r->fds[c->place] = last;
		connections[last].place = c->place;
	}
	c->room = -1;
	close(fd);
}

static void accept_all(int listener)
{
	int fd, one = 1;
	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		if (fd >= CONNECTIONS) {
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		connections[fd].room = -1;
		watch(fd);
	}
}

static void handshake(int fd, char *request)
{
	char *end = strchr(request, '\r'), *dash;
	int number = 0;
	if (end) {
		*end = 0;
		if ((dash = strrchr(request, '-')))
			number = atoi(dash + 1);
	}
	enter(fd, number >= 0 && number < ROOMS ? number : 0);
	if (send(fd, accepted, sizeof accepted - 1, MSG_NOSIGNAL) < 0)
		leave(fd);
}

/* Sends one frame to everybody in the room. What a kernel does not take is
 * lost: the load is chosen so that it takes all. */
static void broadcast(int number, const uint8_t *payload, size_t length, const uint8_t *key)
{
	static uint8_t out[BUFFER + 16];
	size_t n = 0;
	out[n++] = 0x81;
	if (length < 126) {
		out[n++] = length;
	} else {
		out[n++] = 126;
		out[n++] = length >> 8;
		out[n++] = length;
	}
	for (size_t i = 0; i < length; i++)
		out[n++] = payload[i] ^ key[i & 3];
	struct room *r = &rooms[number];
	for (int i = 0; i < r->count; i++)
		send(r->fds[i], out, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void frames(int fd, const uint8_t *data, size_t size)
{
	while (size >= 6) {
		size_t length = data[1] & 127, head = 2;
		if (length == 126) {
			length = (size_t)data[2] << 8 | data[3];
			head = 4;
		}
		if (size < head + 4 + length)
			return;
		if ((data[0] & 15) == 1)
			broadcast(connections[fd].room, data + head + 4, length, data + head);
		data += head + 4 + length;
		size -= head + 4 + length;
	}
}

static void readable(int fd)
{
	static char buffer[BUFFER];
	ssize_t n = recv(fd, buffer, sizeof buffer - 1, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		leave(fd);
		return;
	}
	buffer[n] = 0;
	if (connections[fd].room < 0)
		handshake(fd, buffer);
	else
		frames(fd, (uint8_t *)buffer, n);
}

static void ping_all(int timer)
{
	static const uint8_t ping[] = {0x89, 0};
	uint64_t missed;
	if (read(timer, &missed, sizeof missed) != sizeof missed)
		return;
	for (int i = 0; i < ROOMS; i++)
		for (int j = 0; j < rooms[i].count; j++)
			send(rooms[i].fds[j], ping, sizeof ping, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static int every(int seconds)
{
	struct itimerspec when = {{seconds, 0}, {seconds, 0}};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	if (fd < 0 || timerfd_settime(fd, 0, &when, NULL))
		fail("timer");
	return fd;
}

static int listen_on(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 4096))
		fail("listen");
	return fd;
}

int main(int argc, char **argv)
{
	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: floor PORT [SECONDS]\n");
		return 2;
	}
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	poller = epoll_create1(0);
	int listener = listen_on(atoi(argv[1]));
	watch(listener);
	int timer = argc > 2 ? every(atoi(argv[2])) : -1;
	if (timer >= 0)
		watch(timer);
	for (;;) {
		struct epoll_event events[1024];
		int n = epoll_wait(poller, events, 1024, -1);
		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == listener)
				accept_all(listener);
			else if (events[i].data.fd == timer)
				ping_all(timer);
			else
				readable(events[i].data.fd);
		}
	}
}
