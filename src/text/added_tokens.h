// Tokens that are found in the text itself, before any normalisation or splitting.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/normalizers.h"

namespace morex::text {

struct AddedToken {
  std::string content;
  int32_t id = -1;
  bool single_word = false;  // only where no letter touches it
  bool lstrip = false;       // swallows the white space before it
  bool rstrip = false;       // and after it
  bool normalized = true;    // looked for in the normalised text, in its own normalised form
  bool special = false;      // left out of decoded text on request
};

// A part of a text: an added token (id >= 0) or what lies between two of them.
struct TextPart {
  int32_t id = -1;
  uint32_t begin = 0, end = 0;
};

class AddedTokens {
 public:
  void set(std::vector<AddedToken> tokens, const Normalizer* normalizer);

  const std::vector<AddedToken>& tokens() const { return tokens_; }
  const AddedToken* find(std::string_view content) const;
  const AddedToken* find(int64_t id) const;
  bool is_special(std::string_view content) const;

  // The parts of a raw text (tokens with normalized false), and of a normalised one (the others).
  void split_raw(std::string_view text, std::vector<TextPart>& parts) const { split(raw_, text, parts); }
  void split_normalized(std::string_view text, std::vector<TextPart>& parts) const { split(normalized_, text, parts); }
  bool any_normalized() const { return !normalized_.nodes.empty(); }

 private:
  // A tree over the bytes of the tokens; children of a node are a linked list.
  struct Tree {
    struct Node {
      unsigned char byte = 0;
      int32_t token = -1;  // ends here
      int32_t child = -1, sibling = -1;
    };
    std::vector<Node> nodes;
    std::array<int32_t, 256> root;  // by first byte
    Tree() { root.fill(-1); }
    void add(std::string_view content, int32_t token);
    // The longest token that starts at `at`: its number and end; -1 when none does.
    std::pair<int32_t, size_t> longest(std::string_view text, size_t at) const;
  };
  void split(const Tree& tree, std::string_view text, std::vector<TextPart>& parts) const;

  std::vector<AddedToken> tokens_;
  std::unordered_map<std::string, size_t> by_content_;
  std::unordered_map<int64_t, size_t> by_id_;
  Tree raw_, normalized_;
};

}  // namespace morex::text
