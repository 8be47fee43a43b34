// An enum whose values have names for users, which stand once, beside the enum, in its namespace:
//   constexpr std::array<Choice<Kind>, 2> choices_of(Kind) { return {{{"a", Kind::kA}, ...}}; }
// From them come name_of, value_named and Options::add_choice (base/options.h).
#pragma once
#include <array>
#include <optional>
#include <string_view>
#include <type_traits>

namespace hebm {

template <class E> struct Choice {
  std::string_view name;
  E value;
};

template <class E>
concept NamedEnum = std::is_enum_v<E> && requires(E e) {
  choices_of(e).begin()->name;
};

// "" for a value that choices_of leaves out.
template <NamedEnum E> constexpr std::string_view name_of(E value) {
  for (const Choice<E>& choice : choices_of(value)) {
    if (choice.value == value) return choice.name;
  }
  return "";
}

template <NamedEnum E> constexpr std::optional<E> value_named(std::string_view name) {
  for (const Choice<E>& choice : choices_of(E{})) {
    if (choice.name == name) return choice.value;
  }
  return std::nullopt;
}

}  // namespace hebm
