// hls::stream as hardware has it: so many places, a reader that waits, and a writer that waits. For processes
// of a dataflow in threads; one that waits for longer than any does is stuck, and the program ends with 3.
#ifndef BOUNDED_HLS_STREAM_H
#define BOUNDED_HLS_STREAM_H

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <string>

namespace hls {

template <typename T> class stream {
public:
    explicit stream(const char *name) : name(name) {}
    void bound(const std::size_t count) { places = count; }
    bool empty() {
        std::lock_guard<std::mutex> lock(mutex);
        return data.empty();
    }
    T read() {
        std::unique_lock<std::mutex> lock(mutex);
        wait(lock, "read", [this] { return !data.empty(); });
        const T found = data.front();
        data.pop_front();
        moved.notify_all();
        return found;
    }
    void write(const T &value) {
        std::unique_lock<std::mutex> lock(mutex);
        wait(lock, "write", [this] { return data.size() < places; });
        data.push_back(value);
        moved.notify_all();
    }

private:
    template <typename Ready> void wait(std::unique_lock<std::mutex> &lock, const char *what, Ready ready) {
        if (moved.wait_for(lock, std::chrono::seconds(10), ready)) return;
        std::printf("FAIL: stuck: %s of %s\n", what, name.c_str());
        std::fflush(stdout);
        std::_Exit(3);
    }

    std::string name;
    std::size_t places = -1;
    std::deque<T> data;
    std::mutex mutex;
    std::condition_variable moved;
};

}  // namespace hls

#endif
