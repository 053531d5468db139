"""Which shipped suites are of one data set: they are no independent evidence of each other."""

from __future__ import annotations

_SUITES = {
    "adult": ("adult", "adult_tasks"),
    "amazon_reviews": (
        *("amazon_reviews_bow", "amazon_reviews_bow_selection", "amazon_reviews_glove", "amazon_reviews_minilm"),
        *("amazon_reviews_minilm_tuned", "amazon_reviews_text"),
    ),
    "beijing_air": ("beijing_air", "beijing_air_stream"),
    "clinc150": ("clinc150_shots", "clinc_open", "clinc_subjects"),
    "crossner": ("crossner", "crossner_types"),
    "digits of scikit-learn": ("digits_corrupted", "digits_labels", "quickstart", "rotated_digits"),
    "fsdd": ("fsdd_speakers", "fsdd_speakers_pretrained"),
    "gas_drift": ("gas_drift", "gas_drift_stream"),
    "heart_disease": ("heart_disease", "heart_disease_selection"),
    "mnist": (
        *("colored_mnist", "digits_inductive", "digits_jda", "digits_shot_to_mnist", "digits_shot_to_usps", "digits_stream"),
        *("mnist_usps", "mnist_usps_selection", "multi_mnist", "rotated_mnist", "svhn_mnist"),
    ),
    "office": (
        *("office31", "office_caltech10_conse", "office_caltech10_fewshot", "office_caltech10_fewshot_birds"),
        *("office_caltech10_images", "office_caltech10_images_selection", "office_caltech10_mobilenet"),
        *("office_caltech10_multi_source", "office_caltech10_partial", "office_caltech10_surf"),
        *("office_caltech10_surf_selection", "office_caltech10_surf_tables"),
    ),
    "school": ("school", "school_tasks"),
    "tweeteval_stance": ("tweeteval_stance", "tweeteval_stance_glove", "tweeteval_stance_tuned"),
    "ucihar": ("ucihar", "ucihar_selection", "ucihar_tasks"),
}
DATA_SETS = {suite: data_set for data_set, suites in _SUITES.items() for suite in suites}
"""Suite -> data set, of the suites that share one; Office-31 and Office-Caltech10 share photographs, as do all with MNIST."""


def data_set_of(suite: str) -> str:
    """The data set of a suite; one that shares none is a data set of its own."""
    return DATA_SETS.get(suite, suite)
