// The boxes of pixels that objects and their tags take, and the glyphs on the tags.
#ifndef ROADMARK_CC_ANNOTATE_TAG_PLACE_H_
#define ROADMARK_CC_ANNOTATE_TAG_PLACE_H_

#include <cmath>
#include <cstdint>

#include "cc/annotate/annotate.h"
#include "cc/annotate/canvas.h"
#include "cc/box.h"
#include "cc/math.h"

namespace roadmark {

struct Size {
  int64_t height, width;
};

ROADMARK_INLINE int64_t ToPixel(float value) {
  // Far outside of any picture, and far from overflow.
  const float kFar = 1 << 28;
  value = value < -kFar ? -kFar : value;
  return static_cast<int64_t>(nearbyintf(value > kFar ? kFar : value));
}

// Of at least one pixel, so that empty and inverted boxes can be seen.
ROADMARK_INLINE Rect ToPixels(const Box& box) {
  const int64_t top = ToPixel(box.ymin), left = ToPixel(box.xmin);
  const int64_t bottom = ToPixel(box.ymax), right = ToPixel(box.xmax);
  return {top, left, bottom > top ? bottom : top + 1, right > left ? right : left + 1};
}

// What is inside a frame `width` pixels wide.
ROADMARK_INLINE Rect Inside(const Rect& frame, int64_t width) {
  return {frame.top + width, frame.left + width, frame.bottom - width, frame.right - width};
}

// What a tag may hide of other tags and boxes, summed over them in 1/256 of each, before it
// looks for another place. Looking for the best place of all would make tags jump from frame to
// frame.
constexpr int64_t kBearable = 96;
// Half a text is worth less than half a box.
constexpr int64_t kTagWeight = 3;

ROADMARK_INLINE int64_t HiddenShare(const Rect& tag, const Rect& other) {
  const int64_t hidden = Intersection(tag, other).area();
  return hidden ? 256 * hidden / other.area() : 0;
}

// A tag may stand above its box, below it or inside, from the left or up to the right.
constexpr int kTagPlaces = 6;

// The place number `index`, from 0, of a tag of `size` for a box that is not cut off at the edges
// of the picture; empty where the picture is too low for it.
ROADMARK_INLINE Rect TagPlace(int index, const Rect& picture, const Rect& box, const Size& size,
                              int64_t line_width) {
  const auto within = [](int64_t value, int64_t high) {
    value = value < 0 ? 0 : value;
    return value < high ? value : high;
  };
  const int64_t height = size.height < picture.bottom ? size.height : picture.bottom;
  const int64_t width = size.width < picture.right ? size.width : picture.right;
  const int64_t lowest = picture.bottom - height, rightmost = picture.right - width;
  const int64_t tops[] = {box.top - height, box.bottom, within(box.top + line_width, lowest)};
  const int64_t top = tops[index / 2];
  if (top < 0 || top > lowest) return {};
  const int64_t left = within(index % 2 ? box.right - width : box.left, rightmost);
  return {top, left, top + height, left + width};
}

ROADMARK_INLINE const Glyph& FindGlyph(const GlyphAtlas& atlas, char32_t character) {
  const auto code_point = static_cast<int32_t>(character);
  int64_t first = 1, end = atlas.count;
  while (first < end) {
    const int64_t middle = first + (end - first) / 2;
    if (atlas.glyphs[middle].code_point < code_point) {
      first = middle + 1;
    } else {
      end = middle;
    }
  }
  const bool is_found = first < atlas.count && atlas.glyphs[first].code_point == code_point;
  return atlas.glyphs[is_found ? first : 0];
}

}  // namespace roadmark

#endif  // ROADMARK_CC_ANNOTATE_TAG_PLACE_H_
