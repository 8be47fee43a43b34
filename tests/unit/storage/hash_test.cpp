#include "storage/hash.h"
#include <gtest/gtest.h>

namespace hebm::storage {
namespace {

// Vectors of the xxHash specification's reference implementation (xxhsum -H2 of these texts).
TEST(Hash, KnownAnswers) {
  EXPECT_EQ(hash_text(""), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(hash_text("a"), "a96faf705af16834e6c632b61e964e1f");
  EXPECT_EQ(hash_text("abc"), "06b05ab6733a618578af5f94892f3950");
  EXPECT_EQ(hash64({}), 0x2d06800538d394c2ull);
}

TEST(Hash, StreamingEqualsOneShotAtEveryCut) {
  std::string text(1000, '\0');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7);
  for (std::size_t cut = 0; cut <= text.size(); cut += 37) {
    Hasher hasher;
    hasher.update(as_bytes(text.data(), cut));
    hasher.update({});
    hasher.update(as_bytes(text.data() + cut, text.size() - cut));
    EXPECT_EQ(hasher.digest(), hash_text(text));
    EXPECT_EQ(hasher.digest(), hash_text(text));  // asking does not change the state
  }
}

}  // namespace
}  // namespace hebm::storage
