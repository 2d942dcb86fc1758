#include "cc/annotate/annotate.h"

#include <vector>

#include "cc/annotate/tag_place.h"
#include "cc/annotate/tags.h"
#include "cc/annotate/trails.h"

namespace roadmark {
namespace {

class Annotator {
 public:
  Annotator(const Canvas& canvas, const Objects& objects, const GlyphAtlas& atlas,
            const Style& style)
      : canvas_(canvas), objects_(objects), atlas_(atlas), style_(style) {
    for (int64_t i = 0; i < objects.count; ++i) {
      boxes_.push_back(ToPixels(objects.boxes[i]));
      inks_.push_back(MakeInk(canvas, objects.colours + 3 * i));
      text_inks_.push_back(MakeInk(canvas, objects.text_colours + 3 * i));
    }
  }

  // Layer by layer, so that no box hides the tag of another.
  void Draw() {
    if (objects_.masks) ForEach(&Annotator::DrawMask);
    if (objects_.trail_ends) ForEach(&Annotator::DrawObjectTrail);
    ForEach(&Annotator::DrawBox);
    tags_ = PlaceTags(Bounds(canvas_), boxes_, TagSizes(), style_.line_width);
    ForEach(&Annotator::DrawTag);
  }

 private:
  void ForEach(void (Annotator::*draw)(int64_t)) {
    for (int64_t i = objects_.count - 1; i >= 0; --i) (this->*draw)(i);
  }

  void DrawMask(int64_t i) {
    const uint8_t* mask = objects_.masks + i * canvas_.height * canvas_.width;
    BlendMask(canvas_, mask, inks_[i], style_.mask_opacity);
  }

  void DrawObjectTrail(int64_t i) {
    const int64_t begin = i ? objects_.trail_ends[i - 1] : 0;
    DrawTrail(canvas_, objects_.trail_points + begin, objects_.trail_ends[i] - begin,
              style_.trail_width, inks_[i], style_.opacity, &tile_);
  }

  void DrawBox(int64_t i) {
    FillFrame(canvas_, boxes_[i], Inside(boxes_[i], style_.line_width), inks_[i], style_.opacity);
  }

  std::vector<Size> TagSizes() const {
    std::vector<Size> sizes;
    for (int64_t i = 0; i < objects_.count; ++i) {
      const Size text = TextSize(atlas_, objects_.labels[i]);
      sizes.push_back(text.width ? Size{text.height, text.width + 2 * style_.margin} : Size{0, 0});
    }
    return sizes;
  }

  void DrawTag(int64_t i) {
    const Rect& tag = tags_[i];
    if (tag.empty()) return;
    FillFrame(canvas_, tag, {}, inks_[i], style_.opacity);
    tile_.Reset(canvas_, tag);
    const Rect text =
        DrawText(atlas_, objects_.labels[i], tag.top, tag.left + style_.margin, &tile_);
    tile_.Blend(canvas_, text_inks_[i], text);
  }

  const Canvas& canvas_;
  const Objects& objects_;
  const GlyphAtlas& atlas_;
  const Style& style_;
  std::vector<Rect> boxes_, tags_;
  std::vector<Ink> inks_, text_inks_;
  AlphaTile tile_;
};

}  // namespace

void Annotate(const Canvas& canvas, const Objects& objects, const GlyphAtlas& atlas,
              const Style& style) {
  if (Bounds(canvas).empty()) return;
  Annotator(canvas, objects, atlas, style).Draw();
}

}  // namespace roadmark
