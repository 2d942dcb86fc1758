#include "cc/annotate/tags.h"

#include <algorithm>
#include <cstring>

namespace roadmark {
namespace {

// The larger ones of `count` values.
void KeepLarger(const uint8_t* from, int64_t count, uint8_t* to) {
  // A vector that every x86-64 has; characters are too narrow for loops over wider ones.
  typedef uint8_t Eight __attribute__((vector_size(8)));
  if (count < 8) {
    for (int64_t i = 0; i < count; ++i) to[i] = std::max(to[i], from[i]);
    return;
  }
  const auto larger = [&](int64_t begin) {
    Eight a, b;
    std::memcpy(&a, from + begin, sizeof(a));
    std::memcpy(&b, to + begin, sizeof(b));
    return a > b ? a : b;
  };
  // The last ones may be among those before them; they are read before those are written.
  const Eight last = larger(count - 8);
  for (int64_t i = 0; i < count - 8; i += 8) {
    const Eight values = larger(i);
    std::memcpy(to + i, &values, sizeof(values));
  }
  std::memcpy(to + count - 8, &last, sizeof(last));
}

// Where two characters overlap the darker one counts. Returns what part of the tile was written.
Rect DrawGlyph(const GlyphAtlas& atlas, const Glyph& glyph, int64_t top, int64_t left,
               AlphaTile* tile) {
  const Rect& bounds = tile->bounds();
  const Rect seen = Intersection({top, left, top + glyph.height, left + glyph.width}, bounds);
  if (seen.empty()) return {};
  for (int64_t y = seen.top; y < seen.bottom; ++y) {
    const uint8_t* from = atlas.coverage + glyph.offset + (y - top) * glyph.width - left;
    KeepLarger(from + seen.left, seen.right - seen.left, tile->Row(y) + seen.left - bounds.left);
  }
  return seen;
}

class Placer {
 public:
  Placer(const Rect& picture, const std::vector<Rect>& boxes, int64_t line_width)
      : picture_(picture), line_width_(line_width) {
    for (const Rect& box : boxes) boxes_.push_back(Intersection(box, picture));
    tags_.reserve(boxes.size());
  }

  // `box` is not cut off at the edges of the picture.
  Rect Place(const Rect& box, const Size& size) {
    Rect best = {};
    int64_t least = -1;
    for (int i = 0; i < kTagPlaces; ++i) {
      const Rect place = TagPlace(i, picture_, box, size, line_width_);
      if (place.empty()) continue;
      const int64_t hidden = Hidden(place);
      if (least < 0 || hidden < least) least = hidden, best = place;
      if (hidden <= kBearable) break;
    }
    tags_.push_back(best);
    return best;
  }

 private:
  int64_t Hidden(const Rect& place) const {
    int64_t hidden = 0;
    for (const Rect& tag : tags_) hidden += kTagWeight * HiddenShare(place, tag);
    for (const Rect& box : boxes_) hidden += HiddenShare(place, box);
    return hidden;
  }

  Rect picture_;
  int64_t line_width_;
  std::vector<Rect> boxes_, tags_;
};

}  // namespace

Size TextSize(const GlyphAtlas& atlas, const std::u32string& text) {
  int64_t width = 0;
  for (char32_t character : text) width += FindGlyph(atlas, character).advance;
  return {atlas.line_height, std::max<int64_t>(width, 0)};
}

Rect DrawText(const GlyphAtlas& atlas, const std::u32string& text, int64_t top, int64_t left,
              AlphaTile* tile) {
  Rect drawn = {};
  for (char32_t character : text) {
    const Glyph& glyph = FindGlyph(atlas, character);
    const Rect seen = DrawGlyph(atlas, glyph, top + glyph.top, left + glyph.left, tile);
    if (!seen.empty()) drawn = drawn.empty() ? seen : Union(drawn, seen);
    left += glyph.advance;
  }
  return drawn;
}

std::vector<Rect> PlaceTags(const Rect& picture, const std::vector<Rect>& boxes,
                            const std::vector<Size>& sizes, int64_t line_width) {
  Placer placer(picture, boxes, line_width);
  std::vector<Rect> places(boxes.size(), Rect{});
  for (size_t i = 0; i < boxes.size(); ++i) {
    if (sizes[i].height && sizes[i].width) places[i] = placer.Place(boxes[i], sizes[i]);
  }
  return places;
}

}  // namespace roadmark
