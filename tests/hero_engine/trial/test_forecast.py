from hero_engine.trial.forecast import Costs, Forecast, Work, drawing_seconds, learning_seconds


def test_an_epochs_seconds_by_hand():
    costs = Costs(image_step=0.01, decode=0.2, latent=0.03, embedding_step=0.004)
    work = Work(images=64, steps=50, latents=320, scored=320, embedding_steps=500)
    # 64 images, each of 50 steps of .01 s and .2 s for the decoder.
    assert round(drawing_seconds(costs, work), 9) == 64 * 0.7
    # 320 latents of .03 s, 320 of half of that, and 500 steps of .004 s.
    assert round(learning_seconds(costs, work), 9) == 9.6 + 4.8 + 2.0


def test_nothing_learned_takes_no_time():
    costs = Costs(image_step=1.0, decode=1.0)
    assert learning_seconds(costs, Work(images=4, steps=2)) == 0


def test_a_forecast_is_json():
    forecast = Forecast(40.0, 20.0, 3, 8, "CPU", 32, None)
    assert forecast.epoch_seconds == 60
    assert Forecast(**forecast.to_dict()) == forecast
