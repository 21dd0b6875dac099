// Buys a seat and reads two refusals, with the client that openapi-generator makes.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"

	"clients/booking"
)

const name, password = "go_client", "correct horse battery"

func main() {
	configuration := booking.NewConfiguration()
	configuration.Servers = booking.ServerConfigurations{{URL: os.Args[1]}}
	api := booking.NewAPIClient(configuration)
	anyone := context.Background()

	_, _, err := api.AuthAPI.SignUp(anyone).SignupBody(*booking.NewSignupBody(name, password)).Execute()
	done(err)
	tokens, _, err := api.AuthAPI.LogIn(anyone).LoginBody(*booking.NewLoginBody(name, password)).Execute()
	done(err)
	customer := context.WithValue(anyone, booking.ContextAccessToken, tokens.Access)

	shows, _, err := api.CatalogAPI.ListShows(anyone).Page(1).PageSize(5).Execute()
	done(err)
	more, answer, err := api.CatalogAPI.ListShows(anyone).Page(2).PageSize(5).Execute()
	done(err)
	found := map[int64]bool{}
	for _, show := range append(shows, more...) {
		found[show.Id] = true
	}
	check(len(found) == 10, "two pages of shows", found)
	var pagination struct{ Total int }
	done(json.Unmarshal([]byte(answer.Header.Get("X-Pagination")), &pagination))
	check(pagination.Total >= 10, "total", pagination)
	show := more[4].Id

	seatMap, _, err := api.CatalogAPI.GetShowSeats(anyone, show).Execute()
	done(err)
	label := available(seatMap)
	picture, _, err := api.CatalogAPI.DrawShowSeats(anyone, show).Execute()
	done(err)
	check(picture[:4] == "<svg", "picture", picture)

	wanted := booking.BookBody{SeatNumbers: []string{label}}
	held, _, err := api.BookingAPI.HoldSeats(customer, show).BookBody(wanted).IdempotencyKey("go-1").Execute()
	done(err)
	check(held.Status == "held" && held.GetSeatNumber() == label && held.ExpiresAt.IsSet(), "held", held)
	booked, _, err := api.BookingAPI.ConfirmBooking(customer, held.Id).Execute()
	done(err)
	check(booked.Id == held.Id && booked.Status == "booked", "booked", booked)

	_, _, err = api.BookingAPI.BookSeats(customer, show).BookBody(wanted).Execute()
	taken := refused(err)
	check(taken.Status == 409 && taken.Code == "seat_taken", "taken", taken)
	check(len(taken.Seats) == 1 && taken.Seats[0] == label, "seats in the way", taken)
	wanted.SeatNumbers = append(wanted.SeatNumbers, "")
	_, _, err = api.BookingAPI.BookSeats(customer, show).BookBody(wanted).Execute()
	wrong := refused(err)
	check(wrong.Status == 422 && wrong.Code == "validation_failed", "wrong", wrong)
	check(len(wrong.Errors) == 1 && wrong.Errors[0].GetPointer() == "/seat_numbers/1", "errors", wrong)

	cancelled, _, err := api.BookingAPI.CancelBooking(customer, held.Id).CancelBody(booking.CancelBody{}).Execute()
	done(err)
	check(cancelled.Status == "cancelled", "cancelled", cancelled)
}

// available returns a seat that anybody can book alone.
func available(seatMap *booking.SeatMap) string {
	for _, row := range seatMap.Rows {
		for _, seat := range row.Seats {
			if seat.Status == "available" && seat.Kind == "standard" {
				return seat.SeatNumber
			}
		}
	}
	log.Fatal("no seat is available")
	return ""
}

// done ends the program where a call that has to go well was refused.
func done(err error) {
	if err != nil {
		var refusal *booking.GenericOpenAPIError
		if errors.As(err, &refusal) {
			log.Fatalf("%s: %s", err, refusal.Body())
		}
		log.Fatal(err)
	}
}

// refused returns the problem of a call that has to be refused.
func refused(err error) booking.Problem {
	var refusal *booking.GenericOpenAPIError
	check(errors.As(err, &refusal), "refused", err)
	problem, isProblem := refusal.Model().(booking.Problem)
	check(isProblem, "problem", refusal.Model())
	return problem
}

func check(isTrue bool, what string, got any) {
	if !isTrue {
		text, _ := json.Marshal(got)
		log.Fatalf("%s: %s", what, text)
	}
}
