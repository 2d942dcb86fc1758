#include "cc/annotate/tags.h"

#include <algorithm>

namespace roadmark {
namespace {

// What a tag may hide of other tags and boxes, summed over them in 1/256 of each, before it
// looks for another place. Looking for the best place of all would make tags jump from frame to
// frame.
constexpr int64_t kBearable = 96;
// Half a text is worth less than half a box.
constexpr int64_t kTagWeight = 3;

const Glyph& FindGlyph(const GlyphAtlas& atlas, char32_t character) {
  const auto code_point = static_cast<int32_t>(character);
  const Glyph* end = atlas.glyphs + atlas.count;
  const Glyph* found =
      std::lower_bound(atlas.glyphs + 1, end, code_point,
                       [](const Glyph& glyph, int32_t value) { return glyph.code_point < value; });
  return found != end && found->code_point == code_point ? *found : atlas.glyphs[0];
}

// Where two characters overlap the darker one counts.
void DrawGlyph(const GlyphAtlas& atlas, const Glyph& glyph, int64_t top, int64_t left,
               AlphaTile* tile) {
  const Rect& bounds = tile->bounds();
  const Rect seen = Intersection({top, left, top + glyph.height, left + glyph.width}, bounds);
  if (seen.empty()) return;
  for (int64_t y = seen.top; y < seen.bottom; ++y) {
    const uint8_t* from = atlas.coverage + glyph.offset + (y - top) * glyph.width - left;
    uint8_t* to = tile->Row(y) - bounds.left;
    for (int64_t x = seen.left; x < seen.right; ++x) to[x] = std::max(to[x], from[x]);
  }
}

int64_t HiddenShare(const Rect& tag, const Rect& other) {
  const int64_t hidden = Intersection(tag, other).area();
  return hidden ? 256 * hidden / other.area() : 0;
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
    const int64_t height = std::min(size.height, picture_.bottom);
    const int64_t width = std::min(size.width, picture_.right);
    const int64_t above = box.top - height, below = box.bottom;
    const int64_t inside =
        std::min(std::max<int64_t>(box.top + line_width_, 0), picture_.bottom - height);
    Rect best = {};
    int64_t least = -1;
    for (int64_t top : {above, below, inside}) {
      if (top < 0 || top + height > picture_.bottom) continue;
      for (int64_t left : {box.left, box.right - width}) {
        left = std::min(std::max<int64_t>(left, 0), picture_.right - width);
        const Rect place = {top, left, top + height, left + width};
        const int64_t hidden = Hidden(place);
        if (least < 0 || hidden < least) least = hidden, best = place;
        if (hidden <= kBearable) break;
      }
      if (least <= kBearable) break;
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

void DrawText(const GlyphAtlas& atlas, const std::u32string& text, int64_t top, int64_t left,
              AlphaTile* tile) {
  for (char32_t character : text) {
    const Glyph& glyph = FindGlyph(atlas, character);
    DrawGlyph(atlas, glyph, top + glyph.top, left + glyph.left, tile);
    left += glyph.advance;
  }
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
