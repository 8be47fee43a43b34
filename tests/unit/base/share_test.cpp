#include "base/share.h"
#include <gtest/gtest.h>

namespace hebm {
namespace {

TEST(Share, TheyAreWholeAndAsEqualAsCanBe) {
  for (const std::int64_t n : {0, 1, 7, 60000}) {
    for (const std::int64_t parts : {1, 3, 32}) {
      std::int64_t next = 0;
      for (std::int64_t part = 0; part < parts; ++part) {
        const Share share = share_of(n, part, parts);
        EXPECT_EQ(share.first, next);
        EXPECT_GE(share.size(), n / parts);
        EXPECT_LE(share.size(), n / parts + 1);
        next = share.last;
      }
      EXPECT_EQ(next, n);
    }
  }
}

}  // namespace
}  // namespace hebm
