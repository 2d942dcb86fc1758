// roadmark.ops.tensorflow_ops reads this from the file before it loads the library: one that was
// built for another TensorFlow may crash instead of failing to load.

// ROADMARK_TENSORFLOW_VERSION comes from the lock file.
#define ROADMARK_TEXT_OF(macro) ROADMARK_TEXT(macro)
#define ROADMARK_TEXT(tokens) #tokens

namespace roadmark {

// Visible, or the linker drops it: nothing refers to it.
extern __attribute__((visibility("default"))) const char kBuiltForTensorFlow[];
const char kBuiltForTensorFlow[] =
    "roadmark: built for TensorFlow " ROADMARK_TEXT_OF(ROADMARK_TENSORFLOW_VERSION);

}  // namespace roadmark
