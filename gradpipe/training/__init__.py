"""Gradients during a training run: callbacks for the Trainer of transformers and those of TRL.

``gradient_probe``    spectra of a fixed probe set under the weights of the moment
``probe_set``         the examples of a probe set, tokenized once
``step_recorder``     what writes the steps of a probe into a workspace
``batch_spectra``     spectra of the gradients that the training itself computed
``weight_gradients``  these gradients, one matrix per projection
``undisturbed``       passes through a model in training that change nothing of the training
``wrapped_models``    the model inside a wrapper; models whose weights are sharded are refused
``step_numbers``      the numbers of a step: means over layers, and MAD
``trainer_logs``      numbers into the Trainer's own logging
"""
