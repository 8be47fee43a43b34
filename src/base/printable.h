// Text of files that others wrote, made safe for a terminal: control characters, bytes that are not
// UTF-8 and marks that change the direction of writing become \x1b or \u202e.
#pragma once
#include <cstddef>
#include <streambuf>
#include <string>
#include <string_view>

namespace hebm {

// A name or value on one line, for a message: line feeds and tabs are escaped too, and long text is
// cut.
std::string printable(std::string_view text, std::size_t max_bytes = 200);
// Whole lines: line feeds and tabs stay.
std::string terminal_text(std::string_view text);

// While it lives, std::cout and std::cerr take terminal_text alone. One for a program, in main. A
// letter must not be written byte by byte: each write is taken by itself.
class SafeStreams {
 public:
  SafeStreams();
  ~SafeStreams();
  SafeStreams(const SafeStreams&) = delete;
  SafeStreams& operator=(const SafeStreams&) = delete;
 private:
  class Buffer : public std::streambuf {
   public:
    explicit Buffer(std::streambuf* sink) : sink_(sink) {}
    std::streambuf* sink() const { return sink_; }
   protected:
    std::streamsize xsputn(const char* text, std::streamsize size) override;
    int overflow(int c) override;
    int sync() override { return sink_->pubsync(); }
   private:
    std::streambuf* sink_;
  };
  Buffer out_, error_;
};

}  // namespace hebm
